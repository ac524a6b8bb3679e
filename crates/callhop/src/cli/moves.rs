//! `callhop moves`: what was moved, by whom, and what became of it.

use callhop_calls::{id::ExtensionId, journal::PastMove};
use clap::Args;

use super::{Done, Json, open_store, output};
use crate::config::Config;
use crate::when;

#[derive(Debug, Args)]
pub(super) struct Moves {
    /// Only those of this extension, number@domain
    #[arg(long)]
    extension: Option<ExtensionId>,
    /// How many at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(config: &Config, moves: Moves) -> Done {
    let Moves {
        extension,
        limit,
        json: Json { json },
    } = moves;
    let store = open_store(config).await?;
    let moves = store.moves(extension.as_ref(), None, limit).await?;
    if json {
        return output::json(&moves);
    }
    if moves.is_empty() {
        return output::line("no moves");
    }
    let rows: Vec<Vec<String>> = moves.iter().map(row).collect();
    let head = [
        "BEGAN", "MOVE", "BY", "FROM", "TO", "RESULT", "CAUSE", "TOOK MS", "GAP MS",
    ];
    output::table(&head, &rows)
}

/// A move as a line. One without an end says how far it has come.
fn row(moved: &PastMove) -> Vec<String> {
    let begun = &moved.begun;
    let shown = |word: &str| word.replace('_', " ");
    let ms = |ms: Option<u64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
    let (result, cause, took, gap) = match &moved.end {
        Some(end) => (
            shown(end.outcome.word()),
            end.cause.as_deref().map(shown).unwrap_or_default(),
            ms(end.took_ms),
            ms(end.gap_ms),
        ),
        None => (
            shown(begun.stage.word()),
            String::new(),
            String::new(),
            String::new(),
        ),
    };
    vec![
        when::text(begun.started),
        begun.kind.word().to_owned(),
        begun.extension.to_string(),
        begun.from.number.to_string(),
        begun.to.clone().unwrap_or_default(),
        result,
        cause,
        took,
        gap,
    ]
}

#[cfg(test)]
mod tests {
    use callhop_calls::id::UnixTime;
    use callhop_calls::journal::{Kind, OpenMove, Outcome, PastEnd, Stage};

    use super::*;

    #[test]
    fn a_move_is_a_line() {
        let mut moved = PastMove {
            begun: OpenMove {
                id: "01234567-89ab-cdef-0000-00000000002a".parse().unwrap(),
                kind: Kind::Push,
                switch: "fs".parse().unwrap(),
                extension: "1000@lab.test".parse().unwrap(),
                from: "1001@lab.test".parse().unwrap(),
                to: Some("2001".into()),
                old_leg: "a".parse().unwrap(),
                far_leg: "b".parse().unwrap(),
                new_leg: None,
                stage: Stage::GivingBack,
                started: UnixTime(1_000_800),
            },
            end: None,
        };
        let head = "1970-01-12T14:00:00Z|push|1000@lab.test|1001|2001|";
        assert_eq!(row(&moved).join("|"), format!("{head}giving back|||"));
        moved.end = Some(PastEnd {
            at: UnixTime(1_000_804),
            outcome: Outcome::NotMoved,
            cause: Some("user_busy".into()),
            took_ms: Some(4200),
            gap_ms: Some(40),
        });
        assert_eq!(
            row(&moved).join("|"),
            format!("{head}not moved|user busy|4200|40")
        );
    }
}
