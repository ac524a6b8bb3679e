//! Asks a switch for what a controller needs to know of it, and prints its events for some seconds.
//!
//!     CALLHOP_AMI_SECRET=... cargo run -p callhop-ami --example ask -- 127.0.0.1:5038 companion [seconds [server-name ca.pem]]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use callhop_ami::action::{ConsoleCommand, Variable};
use callhop_ami::{
    Action, CommandLink, EventLink, Login, Options, Privilege, Secret, Subscription, Tls,
};

/// An error with all its sources, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, user, more @ ..] = arguments.as_slice() else {
        return Err("address and user, please".into());
    };
    let login = Login {
        user: user.parse()?,
        secret: Secret::new(std::env::var("CALLHOP_AMI_SECRET")?),
    };
    let mut options = Options::new("ask".parse()?);
    if let [_, name, file] = more {
        options.tls = Some(Tls::new(name, Some(Path::new(file)))?);
    }
    let link = match CommandLink::connect(address, &login, &options).await {
        Ok(link) => link,
        Err(error) => return Err(chain(&error).into()),
    };
    println!("interface {}", link.version());
    for action in [
        Action::Ping,
        Action::CoreSettings,
        Action::CoreStatus,
        Action::CoreShowChannels,
        Action::PjsipShowContacts,
        Action::PjsipShowRegistrationInboundContactStatuses,
        Action::Getvar {
            channel: None,
            variable: Variable::ManagerSessions(login.user.clone()),
        },
        Action::Command(ConsoleCommand::ManagerShowUser(login.user.clone())),
    ] {
        println!("--> {}", action.name());
        match link.list_within(&action, options.reply_timeout).await {
            Ok(list) => {
                print!("{}", String::from_utf8_lossy(list.reply.block()));
                for item in &list.items {
                    println!();
                    print!("{}", String::from_utf8_lossy(item.block()));
                }
            }
            Err(error) => println!("{}", chain(&error)),
        }
    }

    let seconds = more.first().map_or(Ok(0), |text| text.parse())?;
    let subscription = Subscription {
        classes: vec![
            Privilege::System,
            Privilege::Call,
            Privilege::User,
            Privilege::Dtmf,
        ],
        only: Vec::new(),
    };
    let mut events = EventLink::connect(address, &login, &subscription, &options).await?;
    let wait = tokio::time::sleep(Duration::from_secs(seconds));
    tokio::pin!(wait);
    loop {
        tokio::select! {
            event = events.next() => {
                println!("<--");
                print!("{}", String::from_utf8_lossy(event?.block()));
            }
            () = &mut wait => break,
        }
    }
    println!("{:?}, stray {}", link, link.stray());
    Ok(())
}
