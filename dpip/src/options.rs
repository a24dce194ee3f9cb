//! Options, which may stand before, after and between the words, as getopt_long has it.

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

impl Default for Options {
    fn default() -> Self {
        Self {
            verbose: false,
            stats: false,
            json: false,
            family: Family::Any,
            interval: None,
            count: None,
            socket: None,
            help: false,
            version: false,
        }
    }
}

/// An option: its letter if it has one, its name, whether a value follows.
type Known = (Option<char>, &'static str, bool);

const KNOWN: &[Known] = &[
    (Some('v'), "verbose", false),
    (Some('s'), "stats", false),
    (Some('4'), "4", false),
    (Some('6'), "6", false),
    (Some('f'), "family", true),
    (Some('i'), "interval", true),
    (Some('c'), "count", true),
    (Some('h'), "help", false),
    (Some('V'), "version", false),
    (Some('C'), "color", false),
    (Some('F'), "force", false),
    (None, "json", false),
    (None, "socket", true),
];

/// Splits a command line into options and words.
///
/// # Errors
/// With the option that is not known, or the value that is wrong or missing.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<(Options, Vec<String>), CliError> {
    let mut options = Options::default();
    let mut words = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            words.extend(args);
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            parse_long(long, &mut args, &mut options)?;
        } else if let Some(letters) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            parse_letters(letters, &mut args, &mut options)?;
        } else {
            words.push(arg);
        }
    }
    Ok((options, words))
}

/// `--stats`, `--interval 3`, `--interval=3`, and the beginning of a name that no other name has.
fn parse_long(
    long: &str,
    args: &mut impl Iterator<Item = String>,
    options: &mut Options,
) -> Result<(), CliError> {
    let (name, inline) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (long, None),
    };
    // `-4` and `-6` have no long names.
    let longs = || KNOWN.iter().filter(|(_, known, _)| known.len() > 1);
    let mut begun = longs().filter(|(_, known, _)| known.starts_with(name));
    let found = longs()
        .find(|(_, known, _)| *known == name)
        .or_else(|| begun.next().filter(|_| begun.next().is_none()));
    let Some((_, name, takes_value)) = found else {
        return Err(unknown(&format!("--{name}"), name));
    };
    let value = match (takes_value, inline) {
        (true, Some(value)) => value,
        (true, None) => following(&format!("--{name}"), args)?,
        (false, None) => String::new(),
        (false, Some(value)) => {
            return Err(CliError::failed(format!(
                "option '--{name}' takes no value, yet '{value}' is given"
            )));
        }
    };
    set(options, name, value)
}

/// `-s`, `-sv`, `-i 3`, `-i3`.
fn parse_letters(
    letters: &str,
    args: &mut impl Iterator<Item = String>,
    options: &mut Options,
) -> Result<(), CliError> {
    let mut rest = letters.chars();
    while let Some(letter) = rest.next() {
        let (_, name, takes_value) = KNOWN
            .iter()
            .find(|(known, ..)| *known == Some(letter))
            .ok_or_else(|| unknown(&format!("-{letter}"), letters))?;
        if !takes_value {
            set(options, name, String::new())?;
            continue;
        }
        let value = match rest.as_str() {
            "" => following(&format!("-{letter}"), args)?,
            inline => inline.to_owned(),
        };
        return set(options, name, value);
    }
    Ok(())
}

fn following(option: &str, args: &mut impl Iterator<Item = String>) -> Result<String, CliError> {
    args.next()
        .ok_or_else(|| CliError::failed(format!("option '{option}' needs a value after it")))
}

fn unknown(option: &str, name: &str) -> CliError {
    let names: Vec<_> = KNOWN.iter().map(|(_, name, _)| *name).collect();
    let hint = cli::nearest(name, &names)
        .map(|near| format!(": did you mean '--{near}'?"))
        .unwrap_or_else(|| ": `dpip --help` lists them".to_owned());
    CliError::failed(format!("unknown option '{option}'{hint}"))
}

fn set(options: &mut Options, name: &str, value: String) -> Result<(), CliError> {
    match name {
        "verbose" => options.verbose = true,
        "stats" => options.stats = true,
        "json" => options.json = true,
        "4" => options.family = Family::Inet,
        "6" => options.family = Family::Inet6,
        "family" => options.family = family(&value)?,
        "interval" => {
            options.interval = Some(Duration::from_secs(at_least_1(name, &value)?.into()));
        }
        "count" => options.count = Some(at_least_1(name, &value)?),
        "socket" => options.socket = Some(value),
        "help" => options.help = true,
        "version" => options.version = true,
        // Colours, and the force of `ipset`, change nothing of what there is yet.
        _ => {}
    }
    Ok(())
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

fn at_least_1(name: &str, word: &str) -> Result<u32, CliError> {
    let number = word.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| {
        CliError::failed(format!(
            "--{name} {word}: give a whole number, at least 1 and less than 2^32"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> (Options, Vec<String>) {
        parse(line.split_whitespace().map(str::to_owned)).unwrap()
    }

    fn refused(line: &str) -> String {
        parse(line.split_whitespace().map(str::to_owned))
            .unwrap_err()
            .text
    }

    #[test]
    fn options_may_stand_anywhere_and_in_bundles() {
        for line in [
            "-s -v link show dpdk0 -i 3 -c 5",
            "link show -sv -i 3 dpdk0 -c 5",
            "link -svi3 show dpdk0 --count=5",
            "--stats --verb link --interval 3 show -c5 dpdk0",
            "-s -v -i 3 -c 5 -- link show dpdk0",
        ] {
            let (options, words) = parsed(line);
            assert!(options.stats && options.verbose, "{line}");
            assert_eq!(
                (options.interval, options.count),
                (Some(Duration::from_secs(3)), Some(5)),
                "{line}"
            );
            assert_eq!(words, ["link", "show", "dpdk0"], "{line}");
        }
    }

    #[test]
    fn every_option_of_dpvs_is_known() {
        for (line, family) in [
            ("-4 addr show", Family::Inet),
            ("addr show -6", Family::Inet6),
            ("-f inet6 addr show", Family::Inet6),
            ("--family=inet -CF addr show", Family::Inet),
        ] {
            assert_eq!(parsed(line).0.family, family, "{line}");
        }
        assert!(parsed("-h").0.help && parsed("-V").0.version);
        let (options, _) = parsed("--json --socket /tmp/a addr show");
        assert!(options.json);
        assert_eq!(options.socket.as_deref(), Some("/tmp/a"));
        assert_eq!(
            parsed("--socket=/tmp/b").0.socket.as_deref(),
            Some("/tmp/b")
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(refused("--bogus").contains("'--bogus'"));
        assert!(refused("--verbsoe addr show").contains("did you mean '--verbose'?"));
        assert!(refused("--s").contains("'--s'"), "stats or socket");
        assert!(refused("-sq").contains("'-q'"));
        assert!(refused("addr show -i").contains("'-i' needs a value"));
        assert!(refused("-i 0 link show").contains("at least 1"));
        assert!(refused("-c many link show").contains("--count many"));
        assert!(refused("-f ipv4 addr show").contains("inet or inet6"));
        assert!(refused("--json=yes").contains("takes no value"));
    }
}
