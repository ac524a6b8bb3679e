//! The task that owns the switch: inputs and timers, one after the other.

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{Control, Input, Timer, World};
use crate::config::Registrations;

impl World {
    /// Runs until every handle is gone.
    pub(crate) async fn run(mut self, mut inputs: mpsc::UnboundedReceiver<Input>) {
        loop {
            let next = self.timers.keys().next().map(|(at, _)| *at);
            let wake = sleep_until(next.unwrap_or_else(Instant::now));
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.handle(input),
                    None => return,
                },
                () = wake, if next.is_some() => self.fire(),
            }
            self.settle();
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::LinkUp(id, queue, abort) => self.link_up(id, queue, abort),
            Input::LinkDown(id) => self.link_down(id),
            Input::Command(id, command) => self.command(id, command),
            Input::Answer(uuid, generation, answer) => self.answered(&uuid, generation, answer),
            // Whoever asked may have stopped waiting: their loss.
            Input::NewPhone(number, domain, reply) => {
                let made = self.new_party(&number, domain);
                let _ = reply.send(made);
            }
            Input::Phone(id, act, reply) => {
                let done = self.phone(id, act);
                let _ = reply.send(done);
            }
            Input::WatchPhone(id, condition, reply) => {
                self.phone_watches.push((id, condition, reply));
            }
            Input::WatchSwitch(condition, reply) => self.switch_watches.push((condition, reply)),
            Input::Control(control, reply) => {
                let done = self.control(control);
                let _ = reply.send(done);
            }
        }
    }

    fn control(&mut self, control: Control) -> String {
        match control {
            Control::Controller(address) => self.config.controller = address,
            Control::Faults(faults) => {
                self.config.faults = faults;
                self.tell_links_about_faults();
            }
            Control::Restart(registrations) => self.restart(registrations),
            Control::Running(running) => self.running = running,
            Control::Cut => self.cut_links(),
            Control::Overlong(length) => self.send_overlong(length),
            Control::Raw(bytes) => self.send_raw(&bytes),
            Control::Api(command) => return self.api(&command),
            Control::SubscribeLamp(name) => self.subscribe_lamp(name),
            Control::Lamp(name) => return self.lamp(&name),
            Control::Heartbeat => self.heartbeat(),
        }
        String::new()
    }

    /// All timers that are due, in their order.
    fn fire(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                return;
            }
            match entry.remove() {
                Timer::RingTimeout(uuid, generation) => self.ring_timeout(&uuid, generation),
                Timer::ToneOver(uuid, generation) => self.tone_over(&uuid, generation),
                Timer::Connect(uuid, generation) => self.connect_pulled(&uuid, generation),
                Timer::AnswerTimeout(uuid, generation) => self.answer_timeout(&uuid, generation),
                Timer::Answer(leg) => {
                    if self.live(&leg).is_some_and(|leg| !leg.answered) {
                        self.answer_leg(&leg);
                    }
                }
                Timer::SoundOver(uuid, generation) => self.sound_over(&uuid, generation),
                Timer::Digits(uuid, digits, how) => self.dial_digits(&uuid, &digits, how),
                Timer::CodeBegun(uuid, changes) => self.code_not_ended(&uuid, changes),
                Timer::OriginateTimeout(number) => self.originate_timeout(number),
                Timer::Flush => self.flush_kept_back(),
                Timer::Heartbeat => {
                    self.heartbeat();
                    self.after(self.config.heartbeat, Timer::Heartbeat);
                }
            }
        }
    }

    fn restart(&mut self, registrations: Registrations) {
        self.emit_shutdown();
        self.flush_kept_back();
        self.close_links();
        self.forget_everything(registrations);
    }
}
