//! Columns that line up.

/// Space between two columns.
const GAP: usize = 3;

/// A table with a heading. Every row has as many cells as the heading; nothing follows the last cell of a line.
pub(crate) fn table<C: AsRef<str>>(heading: &[C], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|cell| width(cell.as_ref())).collect();
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let heading: Vec<String> = heading.iter().map(|cell| cell.as_ref().to_owned()).collect();
    std::iter::once(&heading).chain(rows).map(|row| line(row, &widths)).collect::<Vec<_>>().join("\n")
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, widest) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', widest + GAP - width(cell)));
    }
    line.trim_end().to_owned()
}

/// Characters that take a place on the screen.
fn width(cell: &str) -> usize {
    anstream::adapter::strip_str(cell).map(|part| part.chars().count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_take_no_room_and_lines_have_no_tail() {
        let bold = crate::output::styled(crate::output::STRONG, "ab");
        let text = table(&["NAME", "X"], &[vec![bold, "1".into()], vec!["abcdef".into(), String::new()]]);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain, "NAME     X\nab       1\nabcdef");
    }
}
