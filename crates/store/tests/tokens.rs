//! The tokens of the HTTP interface, the same on both databases.

// The helpers are tests too: what they cannot go on without ends them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use callhop_calls::id::UnixTime;
use callhop_store::{ActorName, Store, Token, TokenHash};

mod common;

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                let place = super::common::sqlite();
                super::$case(place.open().await, &place).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                let place = super::common::postgres();
                super::$case(place.open().await, &place).await;
            })*
        }
    };
}

cases!(
    a_token_is_read_as_it_was_written,
    a_name_is_taken_once_and_free_again_when_its_token_is_gone,
    the_last_use_only_goes_forward,
    tokens_are_no_change_of_the_directory,
    a_row_of_another_hand_is_told_as_unreadable_without_its_hash,
);

fn name(text: &str) -> ActorName {
    text.parse().unwrap()
}

fn token(text: &str, scopes: &str) -> Token {
    let mut hash = [0xab; 32];
    hash[0] = text.len() as u8;
    Token {
        name: name(text),
        hash: TokenHash(hash),
        scopes: scopes.parse().unwrap(),
        created: UnixTime(1_700_000_000),
        created_by: "cli:alice".parse().unwrap(),
        last_used: None,
    }
}

async fn add(store: &Arc<dyn Store>, token: &Token) -> bool {
    store.add_token(token).await.unwrap()
}

async fn a_token_is_read_as_it_was_written(store: Arc<dyn Store>, _: &common::Place) {
    assert_eq!(store.tokens().await.unwrap(), []);
    let (desk, crm) = (token("the desk", "read"), token("crm", "route admin"));
    assert!(add(&store, &desk).await && add(&store, &crm).await);
    assert_eq!(store.tokens().await.unwrap(), [crm, desk]);
}

async fn a_name_is_taken_once_and_free_again_when_its_token_is_gone(
    store: Arc<dyn Store>,
    _: &common::Place,
) {
    let first = token("crm", "read");
    assert!(add(&store, &first).await);
    assert!(!add(&store, &token("crm", "admin")).await);
    assert_eq!(store.tokens().await.unwrap(), [first]);
    assert!(store.remove_token(&name("crm")).await.unwrap());
    assert!(!store.remove_token(&name("crm")).await.unwrap());
    assert!(add(&store, &token("crm", "admin")).await);
}

async fn the_last_use_only_goes_forward(store: Arc<dyn Store>, _: &common::Place) {
    add(&store, &token("crm", "read")).await;
    for (at, seen) in [(100, 100), (90, 100), (160, 160)] {
        store.token_used(&name("crm"), UnixTime(at)).await.unwrap();
        let found = store.tokens().await.unwrap();
        assert_eq!(found[0].last_used, Some(UnixTime(seen)));
    }
    store.token_used(&name("gone"), UnixTime(1)).await.unwrap();
}

async fn tokens_are_no_change_of_the_directory(store: Arc<dyn Store>, _: &common::Place) {
    let before = store.revision().await.unwrap();
    add(&store, &token("crm", "read")).await;
    store.token_used(&name("crm"), UnixTime(1)).await.unwrap();
    store.remove_token(&name("crm")).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), before);
}

async fn a_row_of_another_hand_is_told_as_unreadable_without_its_hash(
    store: Arc<dyn Store>,
    place: &common::Place,
) {
    add(&store, &token("crm", "read")).await;
    let mut hand = place.hand().await;
    let strange = format!("UPDATE token SET hash = '{}'", "Z".repeat(64));
    hand.execute(&strange).await.unwrap();
    let error = store.tokens().await.unwrap_err().to_string();
    assert!(error.contains("the hash of a token"), "{error}");
    assert!(!error.contains("ZZ"), "{error}");
}
