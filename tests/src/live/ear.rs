//! What every phone hears, from the packets on the loopback interface.
//!
//! Owns a tcpdump process, whose packets carry the kernel's time stamps, and a timeline for each phone. Refuses to trust
//! a phone about its own ear. A packet of PCMU is 160 samples: its strongest tone is found by the Goertzel algorithm.

use std::{
    collections::HashMap,
    f64::consts::TAU,
    io::{BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    digits::{self, DigitPacket},
    ports::Ports,
};
use crate::{
    cast::Phone,
    site::{HandOver, Moment, Sound, Span},
};

/// The tone of the site's voicemail and IVR, Hz.
pub const IVR_HZ: u32 = 3050;
/// The site's music on hold, Hz.
pub const MUSIC_HZ: u32 = 350;
/// Callhop's confirmation (`dialplan/freeswitch/callhop.xml`), Hz.
const BEEP_HZ: u32 = 1500;
/// Callhop's refusal, the first two of its three tones, Hz.
const REFUSAL_HZ: [u32; 2] = [950, 720];
/// A ringing tone of 440 and 480 Hz is one of 460 Hz that swells and fades. The refusal ends with 480 Hz as well.
const RINGBACK_HZ: std::ops::RangeInclusive<u32> = 420..=500;
/// So many packets in a row make a sound steady.
const STEADY: usize = 5;
/// PJSIP joins the tone to a call some milliseconds after it has begun to send: these packets of a stream may be silent.
const BEFORE_TONE: u32 = 3;
/// A packet of a phone is with another one this much later at most.
const PASSED_ON: f64 = 0.04;
/// Two packets further apart than this have a hole between them; 20 ms is normal.
const HOLE: Duration = Duration::from_millis(60);

/// One RTP packet that came to a phone.
#[derive(Debug, Clone, Copy)]
struct Packet {
    at: f64,
    sound: Sound,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

/// One SIP request on the wire.
#[derive(Debug, Clone)]
struct Invite {
    at: f64,
    from_port: u16,
    to_port: u16,
    number: String,
}

#[derive(Debug, Default)]
struct Ears {
    packets: HashMap<Phone, Vec<Packet>>,
    invites: Vec<Invite>,
    digits_in: HashMap<Phone, Vec<DigitPacket>>,
    digits_out: HashMap<Phone, Vec<DigitPacket>>,
    /// The stream that each phone sends, and how many packets of it were seen.
    streams: HashMap<Phone, (u32, u32)>,
    /// When a phone has sent a silent packet before its tone had begun.
    before_tone: Vec<(f64, Phone)>,
    failed: Option<String>,
}

impl Ears {
    /// A phone sends sound.
    fn sent(&mut self, at: f64, phone: Phone, payload: &[u8], label: &mut Labels) {
        let Some(ssrc) = stream(payload) else { return };
        let (known, count) = self.streams.entry(phone).or_insert((ssrc, 0));
        if *known != ssrc {
            (*known, *count) = (ssrc, 0);
        }
        *count += 1;
        if *count <= BEFORE_TONE
            && rtp(at, payload, None, label).is_some_and(|it| it.sound == Sound::Silence)
        {
            self.before_tone.push((at, phone));
        }
    }

    /// A silent packet that a phone has sent before its tone had begun is that phone's voice, wherever it arrives.
    fn whose_silence(&self, at: f64) -> Option<Sound> {
        let mut recent = self.before_tone.iter().rev();
        let found = recent.find(|(sent, _)| (0.0..PASSED_ON).contains(&(at - sent)));
        found.map(|(_, phone)| Sound::Voice(*phone))
    }
}

/// The listener.
#[derive(Debug)]
pub struct Ear {
    child: Child,
    shared: Arc<(Mutex<Ears>, Condvar)>,
    ports: Ports,
}

impl Ear {
    /// Starts to listen.
    ///
    /// # Errors
    /// When tcpdump can't be started, or may not listen (it needs the rights of root, or `cap_net_raw`).
    pub fn start(ports: Ports) -> Result<Self> {
        let first = ports.phone_rtp(Phone::ALL[0]);
        let last = first + Ports::RTP_SPAN * Phone::ALL.len() as u16;
        let filter = format!(
            "udp and (portrange {first}-{last} or port {} or port {})",
            ports.internal(),
            ports.external(),
        );
        let mut child = Command::new("tcpdump")
            .args([
                "-i",
                "lo",
                "-n",
                "-U",
                "--immediate-mode",
                "-B",
                "16384",
                "-w",
                "-",
                &filter,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting tcpdump (Debian package tcpdump)")?;
        let mut stream = BufReader::with_capacity(
            1 << 16,
            child.stdout.take().context("tcpdump without output")?,
        );
        // The file header comes as soon as it listens.
        let mut header = [0; 24];
        stream
            .read_exact(&mut header)
            .context("tcpdump ended at once: may it listen on lo?")?;
        let shared = Arc::new((Mutex::new(Ears::default()), Condvar::new()));
        let writer = Arc::clone(&shared);
        let errors = child.stderr.take();
        thread::spawn(move || {
            let failed = listen(&mut stream, ports, &writer).err();
            let mut last_words = String::new();
            if let Some(mut errors) = errors {
                // What it can't say is missing in the report, no more.
                let _ = errors.read_to_string(&mut last_words);
            }
            let mut ears = lock(&writer.0);
            ears.failed = Some(format!(
                "tcpdump: {}: {}",
                failed.map_or_else(|| "it ended".to_owned(), |error| format!("{error:#}")),
                last_words.trim()
            ));
            writer.1.notify_all();
        });
        Ok(Self {
            child,
            shared,
            ports,
        })
    }

    /// Forgets everything before now.
    pub fn forget(&self) {
        let mut ears = lock(&self.shared.0);
        ears.packets.values_mut().for_each(Vec::clear);
        ears.invites.clear();
        ears.digits_in.clear();
        ears.digits_out.clear();
        ears.before_tone.clear();
    }

    /// Waits until the phone hears this steadily, after `since`.
    ///
    /// # Errors
    /// After `within`, with what was heard instead.
    pub fn wait(&self, phone: Phone, sound: Sound, since: Moment, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        let mut ears = lock(&self.shared.0);
        loop {
            if let Some(failed) = &ears.failed {
                bail!("nobody listens: {failed}");
            }
            let tail = ears
                .packets
                .get(&phone)
                .map_or(&[][..], |all| &all[all.len().saturating_sub(STEADY)..]);
            let steady = match sound {
                Sound::NoPackets => tail
                    .last()
                    .is_none_or(|last| unix_now() - last.at > HOLE.as_secs_f64()),
                _ => {
                    tail.len() == STEADY
                        && tail
                            .iter()
                            .all(|packet| packet.at >= since.0 && packet.sound == sound)
                }
            };
            if steady {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let heard = spans(
                    ears.packets.get(&phone).map_or(&[][..], Vec::as_slice),
                    since,
                );
                bail!(
                    "{phone} did not hear {sound} within {within:?}, but {}",
                    told(&heard, since)
                );
            }
            // The absence of packets wakes nobody up.
            let nap = if sound == Sound::NoPackets {
                left.min(HOLE)
            } else {
                left
            };
            ears = self
                .shared
                .1
                .wait_timeout(ears, nap)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// What the phone heard since then.
    #[must_use]
    pub fn heard(&self, phone: Phone, since: Moment) -> Vec<Span> {
        spans(
            lock(&self.shared.0)
                .packets
                .get(&phone)
                .map_or(&[][..], Vec::as_slice),
            since,
        )
    }

    /// How `new` followed `old` in the ear of `far`.
    #[must_use]
    pub fn hand_over(&self, far: Phone, old: Phone, new: Phone, since: Moment) -> Option<HandOver> {
        let ears = lock(&self.shared.0);
        let all = ears.packets.get(&far)?;
        let first_new = all
            .iter()
            .position(|packet| packet.at >= since.0 && packet.sound == Sound::Voice(new))?;
        let last_old = all[..first_new]
            .iter()
            .rposition(|packet| packet.sound == Sound::Voice(old))?;
        let (before, after) = (all[last_old], all[first_new]);
        let mut between: Vec<Sound> = all[last_old + 1..first_new]
            .iter()
            .map(|packet| packet.sound)
            .collect();
        between.dedup();
        Some(HandOver {
            gap_ms: (after.at - before.at) * 1_000.0,
            at: Moment(after.at),
            between,
            same_stream: before.ssrc == after.ssrc,
            sequence_step: after.sequence.wrapping_sub(before.sequence),
            timestamp_step: after.timestamp.wrapping_sub(before.timestamp).cast_signed(),
        })
    }

    /// Digits that came to the phone since then.
    #[must_use]
    pub fn digits_got(&self, phone: Phone, since: Moment) -> String {
        let ears = lock(&self.shared.0);
        let all = ears.digits_in.get(&phone);
        digits::told(all.map_or(&[][..], Vec::as_slice), since)
    }

    /// Waits until the phone has sent so many digits since then: the end of the last one.
    ///
    /// # Errors
    /// After `within`, with those that it has sent.
    pub fn digits_sent(
        &self,
        phone: Phone,
        count: usize,
        since: Moment,
        within: Duration,
    ) -> Result<Moment> {
        let until = Instant::now() + within;
        let mut ears = lock(&self.shared.0);
        loop {
            let all = ears.digits_out.get(&phone).map_or(&[][..], Vec::as_slice);
            if let Some(end) = digits::end_of(all, count, since) {
                return Ok(end);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!(
                    "{phone} should have sent {count} digits, and has sent {:?}",
                    digits::told(all, since)
                );
            }
            ears = self
                .shared
                .1
                .wait_timeout(ears, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// When the phone's last INVITE for this number was on the wire.
    #[must_use]
    pub fn invite_sent(&self, phone: Phone, number: &str, since: Moment) -> Option<Moment> {
        let port = self.ports.phone_sip(phone);
        let ears = lock(&self.shared.0);
        let mut found = ears.invites.iter().rev();
        found
            .find(|it| it.from_port == port && it.number == number && it.at >= since.0)
            .map(|it| Moment(it.at))
    }

    /// When the first INVITE since then came to the phone.
    #[must_use]
    pub fn invite_came(&self, phone: Phone, since: Moment) -> Option<Moment> {
        let port = self.ports.phone_sip(phone);
        let ears = lock(&self.shared.0);
        ears.invites
            .iter()
            .find(|it| it.to_port == port && it.at >= since.0)
            .map(|it| Moment(it.at))
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Unix time, the clock of the packets.
#[must_use]
pub fn unix_now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// Spans in words, for a failed story.
#[must_use]
pub fn told(spans: &[Span], since: Moment) -> String {
    if spans.is_empty() {
        return "nothing".to_owned();
    }
    let words = spans.iter().map(|span| {
        format!(
            "{} from {:.2} s to {:.2} s",
            span.sound,
            span.from.0 - since.0,
            span.to.0 - since.0
        )
    });
    words.collect::<Vec<_>>().join(", ")
}

fn lock(ears: &Mutex<Ears>) -> MutexGuard<'_, Ears> {
    ears.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spans(packets: &[Packet], since: Moment) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for packet in packets.iter().filter(|packet| packet.at >= since.0) {
        let end = Moment(packet.at + 0.02);
        match spans.last_mut() {
            Some(last) if packet.at - last.to.0 > HOLE.as_secs_f64() - 0.02 => {
                let hole = Span {
                    sound: Sound::NoPackets,
                    from: last.to,
                    to: Moment(packet.at),
                };
                spans.push(hole);
                spans.push(Span {
                    sound: packet.sound,
                    from: Moment(packet.at),
                    to: end,
                });
            }
            Some(last) if last.sound == packet.sound => last.to = end,
            _ => spans.push(Span {
                sound: packet.sound,
                from: Moment(packet.at),
                to: end,
            }),
        }
    }
    spans
}

/// Reads the capture (pcap file format, as tcpdump writes it on this machine) until it ends.
fn listen(stream: &mut impl Read, ports: Ports, shared: &(Mutex<Ears>, Condvar)) -> Result<()> {
    let mut label = Labels::new();
    loop {
        let mut header = [0; 16];
        stream.read_exact(&mut header)?;
        let word = |at: usize| {
            u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let at = f64::from(word(0)) + f64::from(word(4)) / 1e6;
        let mut frame = vec![0; word(8) as usize];
        stream.read_exact(&mut frame)?;
        let Some((from_port, to_port, payload)) = udp(&frame) else {
            continue;
        };
        let mut ears = lock(&shared.0);
        if let Some(packet) = digits::packet(at, payload) {
            if let Some(phone) = owner(ports, to_port) {
                ears.digits_in.entry(phone).or_default().push(packet);
            } else if let Some(phone) = owner(ports, from_port) {
                ears.digits_out.entry(phone).or_default().push(packet);
            }
            shared.1.notify_all();
        } else if let Some(phone) = owner(ports, to_port) {
            let all = ears.packets.entry(phone).or_default();
            let before = all.last().map(|packet: &Packet| packet.sound);
            let Some(mut packet) = rtp(at, payload, before, &mut label) else {
                continue;
            };
            if packet.sound == Sound::Silence {
                packet.sound = ears.whose_silence(at).unwrap_or(Sound::Silence);
            }
            ears.packets.entry(phone).or_default().push(packet);
            shared.1.notify_all();
        } else if let Some(phone) = owner(ports, from_port) {
            ears.sent(at, phone, payload, &mut label);
        } else if let Some(number) = invited(payload) {
            ears.invites.push(Invite {
                at,
                from_port,
                to_port,
                number,
            });
        }
    }
}

fn owner(ports: Ports, port: u16) -> Option<Phone> {
    Phone::ALL
        .into_iter()
        .find(|phone| (0..Ports::RTP_SPAN).contains(&port.wrapping_sub(ports.phone_rtp(*phone))))
}

/// Ports and payload of an Ethernet frame with IPv4 and UDP.
fn udp(frame: &[u8]) -> Option<(u16, u16, &[u8])> {
    let ip = frame.get(14..).filter(|_| frame[12..14] == [8, 0])?;
    let datagram = ip.get(usize::from(ip.first()? & 15) * 4..)?;
    let short = |at: usize| {
        Some(u16::from_be_bytes([
            *datagram.get(at)?,
            *datagram.get(at + 1)?,
        ]))
    };
    Some((
        short(0)?,
        short(2)?,
        datagram.get(8..usize::from(short(4)?))?,
    ))
}

/// The number in `INVITE sip:number@host SIP/2.0`.
fn invited(payload: &[u8]) -> Option<String> {
    let rest = payload.strip_prefix(b"INVITE sip:")?;
    let end = rest.iter().position(|byte| *byte == b'@')?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// The SSRC of an RTP packet with PCMU.
fn stream(payload: &[u8]) -> Option<u32> {
    let is_sound = payload.len() >= 12 && payload[0] >> 6 == 2 && payload[1] & 127 == 0;
    let ssrc: [u8; 4] = payload.get(8..12)?.try_into().ok()?;
    is_sound.then(|| u32::from_be_bytes(ssrc))
}

/// An RTP packet (RFC 3550 section 5.1) of payload type 0, PCMU; anything else is not for the ear.
fn rtp(at: f64, payload: &[u8], before: Option<Sound>, label: &mut Labels) -> Option<Packet> {
    if payload.len() < 12 || payload[0] >> 6 != 2 || payload[1] & 127 != 0 {
        return None;
    }
    let mut header = 12 + 4 * usize::from(payload[0] & 15);
    if payload[0] & 0x10 != 0 {
        header += 4 + 4 * usize::from(u16::from_be_bytes([
            *payload.get(header + 2)?,
            *payload.get(header + 3)?,
        ]));
    }
    let word = |at: usize| {
        u32::from_be_bytes([
            payload[at],
            payload[at + 1],
            payload[at + 2],
            payload[at + 3],
        ])
    };
    Some(Packet {
        at,
        sound: label.of(payload.get(header..)?, before),
        ssrc: word(8),
        sequence: u16::from_be_bytes([payload[2], payload[3]]),
        timestamp: word(4),
    })
}

/// Turns samples into sounds.
#[derive(Debug)]
struct Labels {
    linear: [f64; 256],
}

impl Labels {
    /// A sound quieter than this (root of the mean square, of 32,768) is silence.
    const QUIET: f64 = 150.0;
    /// A tone that carries this part of the energy is the sound.
    const PURE: f64 = 0.8;

    fn new() -> Self {
        let mut linear = [0.0; 256];
        for (code, value) in (0_u8..=255).zip(&mut linear) {
            // ITU-T G.711, mu-law.
            let bits = !code;
            let magnitude = ((i32::from(bits & 15) << 3) + 0x84) << ((bits >> 4) & 7);
            *value = f64::from(if bits & 0x80 == 0 {
                magnitude - 0x84
            } else {
                0x84 - magnitude
            });
        }
        Self { linear }
    }

    fn of(&mut self, payload: &[u8], before: Option<Sound>) -> Sound {
        let samples: Vec<f64> = payload
            .iter()
            .map(|code| self.linear[usize::from(*code)])
            .collect();
        let energy: f64 = samples.iter().map(|sample| sample * sample).sum();
        if energy <= Self::QUIET * Self::QUIET * samples.len() as f64 {
            return Sound::Silence;
        }
        // Most packets are like the one before.
        if let Some(Sound::Voice(phone)) = before
            && purity(&samples, energy, phone.part().tone_hz) > Self::PURE
        {
            return Sound::Voice(phone);
        }
        let coarse = best(&samples, energy, (100..=3_900).step_by(25));
        let (purity, hz) = best(&samples, energy, (coarse.1 - 20..=coarse.1 + 20).step_by(5));
        if RINGBACK_HZ.contains(&hz) && purity > Self::PURE / 2.0 {
            return if before == Some(Sound::Refusal) {
                Sound::Refusal
            } else {
                Sound::Ringback
            };
        }
        if purity < Self::PURE {
            // The packet in which one tone of the refusal follows another one holds both.
            return if before == Some(Sound::Refusal) {
                Sound::Refusal
            } else {
                Sound::Noise
            };
        }
        let near = |tone: u32| hz.abs_diff(tone) <= 15;
        if let Some(phone) = Phone::ALL
            .into_iter()
            .find(|phone| near(phone.part().tone_hz))
        {
            return Sound::Voice(phone);
        }
        match hz {
            _ if near(BEEP_HZ) => Sound::Beep,
            _ if REFUSAL_HZ.into_iter().any(near) => Sound::Refusal,
            _ if near(IVR_HZ) => Sound::Ivr,
            _ if near(MUSIC_HZ) => Sound::Music,
            _ => Sound::Tone(hz),
        }
    }
}

fn best(samples: &[f64], energy: f64, tones: impl Iterator<Item = u32>) -> (f64, u32) {
    tones
        .map(|hz| (purity(samples, energy, hz), hz))
        .fold(
            (0.0, 0),
            |best, next| if next.0 > best.0 { next } else { best },
        )
}

/// The part of the energy that a tone of so many Hz carries, 0 to 1 (Goertzel).
fn purity(samples: &[f64], energy: f64, hz: u32) -> f64 {
    let coefficient = 2.0 * (TAU * f64::from(hz) / 8_000.0).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        (one, two) = (sample + coefficient * one - two, one);
    }
    let power = one * one + two * two - coefficient * one * two;
    2.0 * power / (samples.len() as f64 * energy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mu_law(sample: f64) -> u8 {
        let labels = Labels::new();
        let distance =
            |code: &u8| ((labels.linear[usize::from(*code)] - sample).abs() * 16.0) as i64;
        (0_u8..=255)
            .min_by_key(distance)
            .expect("there are 256 codes")
    }

    fn check(tones: &[f64], before: Option<Sound>, expected: Sound) {
        let sample = |i: u32| {
            tones
                .iter()
                .map(|hz| 6_000.0 * (TAU * hz * f64::from(i) / 8_000.0).sin())
                .sum::<f64>()
        };
        let payload: Vec<u8> = (0..160).map(|i| mu_law(sample(i))).collect();
        assert_eq!(Labels::new().of(&payload, before), expected, "{tones:?}");
    }

    #[test]
    fn a_tone_is_told_from_its_neighbours() {
        for phone in Phone::ALL {
            check(
                &[f64::from(phone.part().tone_hz)],
                None,
                Sound::Voice(phone),
            );
            check(
                &[f64::from(phone.part().tone_hz)],
                Some(Sound::Voice(Phone::P1001)),
                Sound::Voice(phone),
            );
        }
        check(&[1500.0], None, Sound::Beep);
        check(&[950.0], None, Sound::Refusal);
        check(&[720.0], None, Sound::Refusal);
        check(&[480.0], Some(Sound::Refusal), Sound::Refusal);
        check(&[440.0, 480.0], None, Sound::Ringback);
        check(&[3050.0], None, Sound::Ivr);
        check(&[350.0], None, Sound::Music);
        check(&[], None, Sound::Silence);
        check(&[600.0, 1050.0], None, Sound::Noise);
        check(&[3500.0], None, Sound::Tone(3500));
    }
}
