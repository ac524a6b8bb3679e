//! The driver's two links, on a switch that misbehaves.

use std::time::Duration;

use callhop::config::{Config, Secret};
use callhop_calls::id::UnixTime;
use callhop_fakeswitch::{Config as FakeConfig, FakeSwitch, Faults};
use callhop_store::{Actor, Options};

/// Longer than the command link waits for an answer (5 s) and the driver for its next look.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_command_that_is_never_answered_costs_both_links_and_both_come_back() {
    let mut fake = FakeSwitch::start(FakeConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/callhop.db", folder.path().display());
    let store = callhop_store::open(&url, Options::default()).await.unwrap();
    let (id, devices) = ("1000@lab.test".parse().unwrap(), ["1001".parse().unwrap()]);
    store
        .add_extension(&id, &devices, &Actor::Controller, UnixTime(0))
        .await
        .unwrap();
    let mut config = Config::default();
    config.store.url = Secret::new(url);
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.freeswitch[0].address = fake.esl_addr().to_string();
    let controller = tokio::spawn(callhop::controller::run(config, std::future::pending()));
    // The routing snapshot is written once the switch has been read.
    fake.wait_until(|switch| !switch.hash.is_empty(), PATIENCE)
        .await
        .unwrap();

    // The next thing that the driver asks is the list of channels, two seconds after the reading.
    let faults = Faults {
        mute_replies: true,
        ..Faults::default()
    };
    fake.set_faults(faults).await.unwrap();
    fake.wait_until(|switch| switch.links == 0, PATIENCE)
        .await
        .unwrap();

    fake.set_faults(Faults::default()).await.unwrap();
    fake.wait_until(|switch| switch.links == 2, PATIENCE)
        .await
        .unwrap();
    controller.abort();
}
