//! What commands print.
//!
//! Refuses to panic where standard output is closed, as after `callhop moves | head -1`: the command then ends, and says nothing.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use serde::Serialize;

use super::{Done, Exit, Failure};

/// Prints `text` as it is.
pub(super) fn text(text: impl AsRef<[u8]>) -> Done {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_ref()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        // Whoever was to read it has enough.
        ErrorKind::BrokenPipe => Failure::silent(Exit::Failed),
        _ => Failure::new(
            Exit::Failed,
            anyhow::Error::new(error).context("standard output"),
        ),
    })
}

/// Prints `line` and a line break.
pub(super) fn line(line: impl Display) -> Done {
    text(format!("{line}\n"))
}

/// Prints `value` as JSON.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Done {
    line(serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Failed, error))?)
}

/// Prints columns that are as wide as their widest cell.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> Done {
    text(table_text(head, rows))
}

fn table_text(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let lines = || std::iter::once(&head).chain(rows);
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            lines()
                .filter_map(|cells| Some(cells.get(column)?.chars().count()))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for cells in lines() {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table_text;

    #[test]
    fn columns_are_aligned_and_lines_do_not_end_in_spaces() {
        let rows = [
            vec!["1000@lab.test".to_owned(), "1001".to_owned()],
            vec!["ä".to_owned(), String::new()],
        ];
        assert_eq!(
            table_text(&["EXTENSION", "DEVICES"], &rows),
            "EXTENSION      DEVICES\n1000@lab.test  1001\nä\n"
        );
    }
}
