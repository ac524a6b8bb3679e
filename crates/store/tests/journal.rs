//! The journal of moves, the same on both databases.

// The helpers are tests too: what they cannot go on without ends them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use callhop_calls::{
    id::{MoveId, SwitchName, UnixTime},
    journal::{Entry, Kind, OpenMove, Outcome, PastEnd, Stage},
};
use callhop_store::Store;

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
    an_open_move_is_read_as_it_was_written,
    a_move_comes_further_and_ends,
    what_is_told_twice_or_of_nobody_changes_nothing,
    moves_are_told_newest_first_and_of_one_extension,
    the_journal_is_no_change_of_the_directory,
    old_moves_are_forgotten_and_open_ones_never,
    a_row_of_another_hand_is_told_as_unreadable,
);

const START: i64 = 1_700_000_000;

fn id(count: u64) -> MoveId {
    MoveId {
        run: 0xfeed_0000_0000_0001,
        count,
    }
}

fn switches(names: &[&str]) -> Vec<SwitchName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn push(count: u64) -> OpenMove {
    OpenMove {
        id: id(count),
        kind: Kind::Push,
        switch: "fs1".parse().unwrap(),
        extension: "1000@lab.test".parse().unwrap(),
        from: "1001@lab.test".parse().unwrap(),
        to: None,
        old_leg: "77178d17-6e3a-428c-b0c6-ee9fdf1c22d3".parse().unwrap(),
        far_leg: "PJSIP/out-0000000a".parse().unwrap(),
        new_leg: None,
        stage: Stage::Collecting,
        started: UnixTime(START + i64::try_from(count).unwrap()),
    }
}

fn ended(count: u64, outcome: Outcome, cause: Option<&str>) -> Entry {
    Entry::Ended {
        id: id(count),
        at: UnixTime(START + 100),
        outcome,
        cause: cause.map(str::to_owned),
        took_ms: Some(1234),
        gap_ms: Some(40),
    }
}

async fn open(store: &Arc<dyn Store>) -> Vec<OpenMove> {
    store.open_moves(&switches(&["fs1", "fs2"])).await.unwrap()
}

async fn an_open_move_is_read_as_it_was_written(store: Arc<dyn Store>, _: &common::Place) {
    let pull = OpenMove {
        kind: Kind::Pull,
        switch: "fs2".parse().unwrap(),
        to: Some("1002@lab.test".into()),
        new_leg: Some("06794e57-b1d2-45a8-8303-5eef17956665".parse().unwrap()),
        stage: Stage::Asked,
        ..push(2)
    };
    let all = [Entry::Begun(pull.clone()), Entry::Begun(push(1))];
    store.write_journal(&all).await.unwrap();
    assert_eq!(open(&store).await, [push(1), pull.clone()]);
    let of_one = store.open_moves(&switches(&["fs2"])).await.unwrap();
    assert_eq!(of_one, [pull]);
    assert_eq!(store.open_moves(&switches(&["fs3"])).await.unwrap(), []);
    store.write_journal(&[]).await.unwrap();
}

async fn a_move_comes_further_and_ends(store: Arc<dyn Store>, _: &common::Place) {
    store
        .write_journal(&[Entry::Begun(push(1)), Entry::Begun(push(2))])
        .await
        .unwrap();
    let ringing = Entry::Stage {
        id: id(1),
        stage: Stage::Ringing,
        to: Some("2001".into()),
    };
    store.write_journal(&[ringing]).await.unwrap();
    let further = OpenMove {
        stage: Stage::Ringing,
        to: Some("2001".into()),
        ..push(1)
    };
    assert_eq!(open(&store).await, [further.clone(), push(2)]);

    let end = ended(1, Outcome::NotMoved, Some("user_busy"));
    store.write_journal(&[end]).await.unwrap();
    assert_eq!(open(&store).await, [push(2)]);
    let past = store.moves(None, None, 10).await.unwrap();
    assert_eq!(past[1].begun, further);
    assert_eq!(
        past[1].end,
        Some(PastEnd {
            at: UnixTime(START + 100),
            outcome: Outcome::NotMoved,
            cause: Some("user_busy".into()),
            took_ms: Some(1234),
            gap_ms: Some(40),
        })
    );
    assert_eq!(past[0].end, None);
}

async fn what_is_told_twice_or_of_nobody_changes_nothing(store: Arc<dyn Store>, _: &common::Place) {
    let all = [
        Entry::Begun(push(1)),
        ended(1, Outcome::Moved, None),
        Entry::Begun(push(1)),
        Entry::Stage {
            id: id(1),
            stage: Stage::Recalling,
            to: None,
        },
        ended(1, Outcome::FarEndGone, None),
        ended(7, Outcome::Moved, None),
    ];
    store.write_journal(&all).await.unwrap();
    assert_eq!(open(&store).await, []);
    let past = store.moves(None, None, 10).await.unwrap();
    assert_eq!(past.len(), 1);
    assert_eq!(past[0].begun, push(1));
    assert_eq!(past[0].end.as_ref().unwrap().outcome, Outcome::Moved);
}

async fn moves_are_told_newest_first_and_of_one_extension(
    store: Arc<dyn Store>,
    _: &common::Place,
) {
    let other = |count| OpenMove {
        extension: "1000@other.test".parse().unwrap(),
        from: "1001@other.test".parse().unwrap(),
        ..push(count)
    };
    let all: Vec<_> = (1..=4)
        .flat_map(|n| [Entry::Begun(push(2 * n)), Entry::Begun(other(2 * n + 1))])
        .collect();
    store.write_journal(&all).await.unwrap();
    let counts = |moves: Vec<callhop_calls::journal::PastMove>| -> Vec<u64> {
        moves.iter().map(|m| m.begun.id.count).collect()
    };
    assert_eq!(counts(store.moves(None, None, 3).await.unwrap()), [9, 8, 7]);
    let one = "1000@other.test".parse().unwrap();
    assert_eq!(
        counts(store.moves(Some(&one), None, 10).await.unwrap()),
        [9, 7, 5, 3]
    );
    // The pages that follow.
    let seventh = other(7).id;
    let began = store.move_began(seventh).await.unwrap();
    assert_eq!(began, Some(other(7).started));
    let behind = began.map(|at| (at, seventh));
    assert_eq!(
        counts(store.moves(None, behind, 3).await.unwrap()),
        [6, 5, 4]
    );
    assert_eq!(
        counts(store.moves(Some(&one), behind, 10).await.unwrap()),
        [5, 3]
    );
    let unknown = other(100).id;
    assert_eq!(store.move_began(unknown).await.unwrap(), None);
}

async fn the_journal_is_no_change_of_the_directory(store: Arc<dyn Store>, _: &common::Place) {
    let before = store.revision().await.unwrap();
    let all = [Entry::Begun(push(1)), ended(1, Outcome::Moved, None)];
    store.write_journal(&all).await.unwrap();
    store.forget_moves(UnixTime(i64::MAX)).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), before);
}

async fn old_moves_are_forgotten_and_open_ones_never(store: Arc<dyn Store>, _: &common::Place) {
    let mut all = Vec::new();
    for count in 1..=2500 {
        all.push(Entry::Begun(push(count)));
        if count % 5 != 0 {
            all.push(ended(count, Outcome::Moved, None));
        }
    }
    // Portions, because each write has the time of one operation.
    for portion in all.chunks(200) {
        store.write_journal(portion).await.unwrap();
    }
    let just_ended = UnixTime(START + 100);
    assert_eq!(store.forget_moves(just_ended).await.unwrap(), 0);
    assert_eq!(
        store.forget_moves(UnixTime(START + 101)).await.unwrap(),
        2000
    );
    assert_eq!(open(&store).await.len(), 500);
}

async fn a_row_of_another_hand_is_told_as_unreadable(store: Arc<dyn Store>, place: &common::Place) {
    store.write_journal(&[Entry::Begun(push(1))]).await.unwrap();
    let mut hand = place.hand().await;
    hand.execute("UPDATE move SET stage = 'asleep'")
        .await
        .unwrap();
    let error = store.moves(None, None, 1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the database has \"asleep\" where the stage of a move should be"
    );
}
