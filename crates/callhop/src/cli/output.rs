//! What commands print.

use serde::Serialize;

use super::{Done, Exit, Failure};

/// Prints `value` as JSON.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Done {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Failed, error))?;
    println!("{text}");
    Ok(())
}

/// Prints columns that are as wide as their widest cell.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    print!("{}", table_text(head, rows));
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
