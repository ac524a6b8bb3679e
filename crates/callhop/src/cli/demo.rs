//! `callhop demo`.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;

use super::{Done, Exit, Failure, asked_to_end, output};
use crate::demo::{Demo as Running, Pace};

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Demo {
    /// Where the page is, on loopback; port 0 takes one that is free [default: 127.0.0.1:8085; with --script port 0]
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    listen: Option<SocketAddr>,
    /// Play a scene for each star code here, and end; the exit code is 0 if each went as told
    #[arg(long)]
    script: bool,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "it is not an address with a port, such as 127.0.0.1:8085".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the demo listens on loopback only: 127.0.0.1 or [::1]".to_owned())
    }
}

pub(super) async fn run(demo: Demo) -> Done {
    let Demo { listen, script } = demo;
    let pace = if script { Pace::Script } else { Pace::People };
    let port = if script { 0 } else { 8085 };
    let listen = listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let failed = |error| Failure::new(Exit::Failed, error);
    let interrupted = || failed(anyhow::anyhow!("interrupted"));
    let mut ending = std::pin::pin!(asked_to_end());
    let mut running = tokio::select! {
        started = Running::start(listen, pace) => started.map_err(failed)?,
        () = &mut ending => return Err(interrupted()),
    };
    let outcome = if script {
        tokio::select! {
            played = running.play() => match played {
                Ok(true) => Ok(()),
                Ok(false) => Err(Failure::silent(Exit::Failed)),
                Err(error) => Err(failed(error)),
            },
            () = &mut ending => Err(interrupted()),
        }
    } else {
        match output::line(running.greeting()) {
            Err(failure) if failure.error.is_some() => return Err(failure),
            // Whoever has read what they wanted may have closed it: the page goes on.
            Ok(()) | Err(_) => {}
        }
        tokio::select! {
            ended = running.until_ended() => return ended.map_err(failed),
            () = &mut ending => Ok(()),
        }
    };
    running.end().await.map_err(failed)?;
    outcome
}
