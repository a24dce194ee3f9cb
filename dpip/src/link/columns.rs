//! Columns of counters, and counters per second.

use std::time::Duration;

/// How much a counter grew per second. The rate of a counter that was zeroed in between is 0.
pub(super) fn per_second(new: u64, old: u64, elapsed: Duration) -> String {
    let millis = elapsed.as_millis().max(1);
    (u128::from(new.saturating_sub(old)) * 1_000 / millis).to_string()
}

/// Rows as pairs of lines: the names, and below them the values. `width` is that of a column in
/// characters.
pub(super) fn columns(rows: &[(&str, String)], width: usize, per_line: usize) -> String {
    let line = |cells: Vec<&str>| {
        format!(
            "    {}\n",
            cells
                .iter()
                .map(|cell| format!("{cell:<width$}"))
                .collect::<String>()
                .trim_end()
        )
    };
    rows.chunks(per_line)
        .map(|row| {
            line(row.iter().map(|(name, _)| *name).collect())
                + &line(row.iter().map(|(_, value)| value.as_str()).collect())
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The value that stands below a name.
    pub(crate) fn below(text: &str, name: &str) -> String {
        let lines: Vec<_> = text.lines().collect();
        let (row, at) = lines
            .iter()
            .enumerate()
            .find_map(|(row, line)| {
                let names: Vec<_> = line.split_whitespace().collect();
                Some((row, names.iter().position(|cell| *cell == name)?))
            })
            .unwrap();
        lines[row + 1]
            .split_whitespace()
            .nth(at)
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_counter_that_went_back_was_zeroed() {
        assert_eq!(per_second(5, 10, Duration::from_secs(1)), "0");
    }
}
