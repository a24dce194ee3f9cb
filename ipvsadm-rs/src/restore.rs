//! `-R`: many lines as one change. All of them are carried out, or none; with `--keep-going` all
//! that can be.

use std::io::Read;

use cli::CliError;
use proto::v1::Change;

use crate::args::{self, Line};
use crate::client::Client;
use crate::request;

/// The text to restore: that of the named file; that of standard input without a name or for `-`.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn text(line: &Line) -> Result<String, CliError> {
    let mut text = String::new();
    match line.words.first().filter(|name| *name != "-") {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| CliError::failed(format!("cannot read {file}: {error}"))),
        None => std::io::stdin()
            .read_to_string(&mut text)
            .map(|_| text)
            .map_err(|error| CliError::failed(format!("cannot read standard input: {error}"))),
    }
}

/// The changes that lines of `-S` ask for, each with the number of its line.
///
/// # Errors
/// If a line is wrong. The message says which.
pub(crate) fn changes(text: &str) -> Result<Vec<(usize, Change)>, CliError> {
    lines(text)
        .map(|(number, line)| {
            let at = |error: CliError| CliError {
                text: format!("line {number}: {} (nothing was restored)", error.text),
                ..error
            };
            Ok((number, change(line).map_err(at)?))
        })
        .collect()
}

/// The lines with their numbers. Empty lines and comments are skipped, but count as lines.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_meant = |line: &str| !line.is_empty() && !line.starts_with('#');
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(move |(_, line)| is_meant(line))
}

fn change(text: &str) -> Result<Change, CliError> {
    let mut words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    // ipvsadm(8): the lines of a script may be fed to -R too.
    let first = words.first().map_or("", String::as_str);
    if matches!(first.rsplit('/').next(), Some("ipvsadm" | "ipvsadm-rs")) {
        words.remove(0);
    }
    let line = args::parse(&words)?;
    args::check(&line)?;
    request::change(&line)?.ok_or_else(|| {
        CliError::usage(format!(
            "'{}' cannot be restored: expected lines of ipvsadm-rs -S",
            line.command
        ))
    })
}

/// Sends all changes as one.
///
/// # Errors
/// If the daemon refuses a line. The message says which.
pub(crate) async fn apply(
    client: &mut Client,
    changes: Vec<(usize, Change)>,
) -> Result<(), CliError> {
    let (numbers, changes): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    let result = client.apply(tokio_stream::iter(changes)).await;
    cli::done(result).map_err(|error| {
        let (change, sentence) = split_number(&error.text);
        let place = change
            .and_then(|change| numbers.get(change.checked_sub(1)?))
            .map(|number| format!("line {number}: "))
            .unwrap_or_default();
        CliError {
            text: format!("{place}{sentence} (nothing was restored)"),
            ..error
        }
    })
}

/// Carries out all lines that can be, in their order.
///
/// # Errors
/// If some were refused. The message lists them.
pub(crate) async fn apply_each(client: &mut Client, text: &str) -> Result<(), CliError> {
    let (mut changes, mut refused) = (Vec::new(), Vec::new());
    for (number, line) in lines(text) {
        match change(line) {
            Ok(change) => changes.push((number, change)),
            Err(error) => refused.push((number, error.text)),
        }
    }
    let all = changes.len() + refused.len();
    let mut rest = &changes[..];
    // All at once; after a refusal in ever larger parts again. So neither many lines nor many
    // refusals take long.
    let mut size = rest.len();
    while let [(first, _), ..] = rest {
        let (part, later) = rest.split_at(size.min(rest.len()));
        let part: Vec<_> = part.iter().map(|(_, change)| change.clone()).collect();
        let Err(status) = client.apply(tokio_stream::iter(part)).await else {
            rest = later;
            size = size.saturating_mul(2);
            continue;
        };
        let error = CliError::from(status);
        match split_number(&error.text) {
            (Some(1), sentence) => {
                refused.push((*first, sentence.to_owned()));
                rest = &rest[1..];
                size = 1;
            }
            // The changes before the refused one are carried out first.
            (Some(number), _) if number > 1 => size = number - 1,
            _ => return Err(error),
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    refused.sort_unstable();
    let done = all - refused.len();
    let listed = refused
        .iter()
        .map(|(line, why)| format!("\n  line {line}: {why}"));
    Err(CliError::failed(format!(
        "restored {done} of {all} lines, not these:{}",
        listed.collect::<String>()
    )))
}

/// Sends the one change of a command line.
///
/// # Errors
/// If the daemon refuses the change.
pub(crate) async fn apply_one(client: &mut Client, change: Change) -> Result<(), CliError> {
    let result = client.apply(tokio_stream::iter([change])).await;
    cli::done(result).map_err(|error| {
        let sentence = split_number(&error.text).1.to_owned();
        CliError {
            text: sentence,
            ..error
        }
    })
}

/// Splits the daemon's `change 7: message` into number and message.
fn split_number(message: &str) -> (Option<usize>, &str) {
    message
        .strip_prefix("change ")
        .and_then(|rest| rest.split_once(": "))
        .and_then(|(number, text)| Some((Some(number.parse().ok()?), text)))
        .unwrap_or((None, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_count_as_lines() {
        let text = "# saved\n\n-A -t 10.0.0.100:80 -s rr\n  # more\n-D -t 10.0.0.100:80\n";
        let numbers: Vec<_> = changes(text)
            .unwrap()
            .iter()
            .map(|(number, _)| *number)
            .collect();
        assert_eq!(numbers, [3, 5]);
        assert!(changes("").unwrap().is_empty());
    }

    /// ipvsadm(8) and the scripts in DPVS's pages.
    #[test]
    fn lines_may_begin_with_the_program_s_name_and_flush_and_set_timeouts() {
        let text =
            "ipvsadm -C\n/sbin/ipvsadm --set 90 3 300\n ./ipvsadm-rs -A -t 10.0.0.1:80\n-Z\n";
        let kinds: Vec<_> = changes(text).unwrap();
        assert_eq!(kinds.len(), 4);
        assert!(changes("ipvsadm-save -A -t 10.0.0.1:80").is_err());
    }

    #[test]
    fn the_wrong_line_is_named() {
        for (wrong, part) in [
            ("-ln", "'list' cannot be restored"),
            ("-R", "'restore' cannot be restored"),
            ("-a -t 10.0.0.100:80", "'real-server'"),
            ("-A -t 10.0.0.100:80 junk", "unexpected argument 'junk'"),
            ("-A -t 10.0.0.100:http-nonsense", "http-nonsense"),
        ] {
            let error = changes(&format!("-A -t 10.0.0.1:80\n{wrong}\n")).unwrap_err();
            assert!(error.text.starts_with("line 2: "), "{error}");
            assert!(error.text.contains(part), "{error}");
            assert!(error.text.ends_with("(nothing was restored)"), "{error}");
        }
    }

    #[test]
    fn the_daemon_s_number_is_taken_off_its_sentence() {
        assert_eq!(
            split_number("change 7: no service"),
            (Some(7), "no service")
        );
        for whole in ["changes: none", "change x: y", "no service"] {
            assert_eq!(split_number(whole), (None, whole));
        }
    }
}
