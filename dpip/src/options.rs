//! Options that go before, after or between the words.

use std::time::Duration;

use cli::CliError;
use proto::v1::Family;

/// What the options say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `-v`
    pub verbose: bool,
    /// `-s`
    pub stats: bool,
    /// `--json`
    pub json: bool,
    /// `-4`, `-6`, `-f`
    pub family: Family,
    /// `-i`
    pub interval: Option<Duration>,
    /// `-c`
    pub count: Option<u32>,
    /// `--socket`
    pub socket: Option<String>,
    /// `-h`
    pub help: bool,
    /// `-V`
    pub version: bool,
}

/// Splits a command line into options and words.
pub fn parse(args: impl Iterator<Item = String>) -> Result<(Options, Vec<String>), CliError> {
    let mut options = Options {
        verbose: false,
        stats: false,
        json: false,
        family: Family::Any,
        interval: None,
        count: None,
        socket: None,
        help: false,
        version: false,
    };
    let mut words = Vec::new();
    let mut args = args.flat_map(split_bundle);
    while let Some(arg) = args.next() {
        let mut value = || {
            args.next()
                .ok_or_else(|| CliError::failed(format!("'{arg}' needs a value after it")))
        };
        match arg.as_str() {
            "-v" | "--verbose" => options.verbose = true,
            "-s" | "--stats" => options.stats = true,
            "--json" | "-j" => options.json = true,
            "-4" => options.family = Family::Inet,
            "-6" => options.family = Family::Inet6,
            "-f" | "--family" => options.family = family(&value()?)?,
            "-i" | "--interval" => {
                options.interval = Some(Duration::from_secs(number(&value()?)?.into()))
            }
            "-c" | "--count" => options.count = Some(number(&value()?)?),
            "--socket" => options.socket = Some(value()?),
            "-h" | "--help" => options.help = true,
            "-V" | "--version" => options.version = true,
            // Colours and -F (of ipset) change nothing yet.
            "-C" | "--color" | "-F" | "--force" => {}
            _ if arg.starts_with("--socket=") => {
                options.socket = arg.split_once('=').map(|(_, path)| path.to_owned())
            }
            _ if arg.starts_with('-') && arg.len() > 1 => {
                return Err(CliError::failed(format!(
                    "unknown option '{arg}': `dpip --help` lists them"
                )));
            }
            _ => words.push(arg),
        }
    }
    Ok((options, words))
}

/// `-sv` is `-s -v`.
fn split_bundle(arg: String) -> Vec<String> {
    let is_bundle =
        arg.len() > 2 && arg.starts_with('-') && arg[1..].chars().all(|c| "vs46jCF".contains(c));
    if is_bundle {
        arg[1..].chars().map(|c| format!("-{c}")).collect()
    } else {
        vec![arg]
    }
}

fn family(word: &str) -> Result<Family, CliError> {
    match word {
        "inet" => Ok(Family::Inet),
        "inet6" => Ok(Family::Inet6),
        _ => Err(CliError::failed(format!(
            "family '{word}': it is inet or inet6"
        ))),
    }
}

fn number(word: &str) -> Result<u32, CliError> {
    word.parse()
        .map_err(|_| CliError::failed(format!("'{word}' is no number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> (Options, Vec<String>) {
        parse(line.split_whitespace().map(str::to_owned)).unwrap()
    }

    #[test]
    fn options_may_stand_anywhere() {
        for line in [
            "-s -v link show dpdk0 -i 3 -c 5",
            "link show -sv -i 3 dpdk0 -c 5",
        ] {
            let (options, words) = parsed(line);
            assert!(options.stats && options.verbose);
            assert_eq!(
                (options.interval, options.count),
                (Some(Duration::from_secs(3)), Some(5))
            );
            assert_eq!(words, ["link", "show", "dpdk0"]);
        }
        assert_eq!(parsed("-f inet6 addr show").0.family, Family::Inet6);
    }

    #[test]
    fn what_is_not_known_is_named() {
        let error = parse(["--bogus".to_owned()].into_iter()).unwrap_err();
        assert!(error.text.contains("--bogus"));
    }
}
