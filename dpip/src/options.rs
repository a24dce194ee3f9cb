//! The options. They may stand before, after and between the words, as with getopt_long.

use std::time::Duration;

use cli::{CliError, Item, Opt, OptionTable, Takes};
use proto::v1::Family;

/// The values of the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// `-v`: show more.
    pub verbose: bool,
    /// `-s`: show counters.
    pub stats: bool,
    /// `--json`: print JSON.
    pub json: bool,
    /// `-4`, `-6`, `-f`: the family that is asked for.
    pub family: Family,
    /// `-i`: the time between two samples.
    pub interval: Option<Duration>,
    /// `-c`: how many samples are shown.
    pub count: Option<u32>,
    /// `--socket`: the path of the daemon's socket.
    pub socket: Option<String>,
    /// `-h`: show the help.
    pub help: bool,
    /// `-V`: show the version.
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

/// What an option sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Verbose,
    Stats,
    Json,
    Inet,
    Inet6,
    Family,
    Interval,
    Count,
    Socket,
    Help,
    Version,
    /// DPVS has it. It changes nothing here.
    Ignored,
}

/// What an option sets, and the commands that heed it. Others accept it, too, as in DPVS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning {
    setting: Setting,
    commands: &'static str,
}

const EVERY: &str = "every command";
const LISTS: &str = "addr, route, neigh";

const fn option(
    letters: &'static str,
    long: &'static str,
    takes: Takes,
    setting: Setting,
    commands: &'static str,
    help: &'static str,
) -> Opt<Meaning> {
    let meaning = Meaning { setting, commands };
    Opt {
        long,
        letters,
        takes,
        meaning,
        help,
    }
}

/// All options: `parse` and `--help` use this table. The letters are DPVS's.
#[rustfmt::skip]
const OPTIONS: OptionTable<Meaning> = OptionTable {
    program: "dpip",
    options: &[
        option("v", "verbose", Takes::Nothing, Setting::Verbose, "addr show, link show",
            "show more: each worker's part, details of devices"),
        option("s", "stats", Takes::Nothing, Setting::Stats, "link show", "show counters"),
        option("4", "", Takes::Nothing, Setting::Inet, LISTS, "IPv4 only"),
        option("6", "", Takes::Nothing, Setting::Inet6, LISTS, "IPv6 only"),
        option("f", "family", Takes::Value("{ inet | inet6 }"), Setting::Family, LISTS,
            "one family only"),
        option("i", "interval", Takes::Value("SECONDS"), Setting::Interval, "link show",
            "show counters per second again and again, with so much time between"),
        option("c", "count", Takes::Value("NUM"), Setting::Count, "link show",
            "stop after so many samples"),
        option("h", "help", Takes::Nothing, Setting::Help, EVERY, "show this help"),
        option("V", "version", Takes::Nothing, Setting::Version, EVERY, "show the version"),
        option("C", "color", Takes::Nothing, Setting::Ignored, EVERY, "accepted and ignored"),
        option("F", "force", Takes::Nothing, Setting::Ignored, EVERY, "accepted and ignored"),
        option("", "json", Takes::Nothing, Setting::Json, "show",
            "print JSON; with -i every line is a sample"),
        option("", "socket", Takes::Value("PATH"), Setting::Socket, EVERY,
            "the daemon's socket (else DPVS_SOCKET)"),
    ],
    may_abbreviate: true,
};

/// Splits a command line into options and words. `--` ends the options.
///
/// # Errors
/// If an option is unknown, or its value is wrong or missing.
pub(crate) fn parse(args: &[String]) -> Result<(Options, Vec<String>), CliError> {
    let mut options = Options::default();
    let mut words = Vec::new();
    let items = OPTIONS.parse(args);
    for item in items.map_err(|error| CliError::failed(error.to_string()))? {
        match item {
            Item::Option(option, value) => set(&mut options, option, value)?,
            Item::Word(word) => words.push(word),
        }
    }
    Ok((options, words))
}

/// One line for each option: its names, what it does, and the commands that heed it.
pub(crate) fn help() -> String {
    OPTIONS.help(|option| Some(format!("{} ({})", option.help, option.meaning.commands)))
}

fn set(options: &mut Options, option: &Opt<Meaning>, value: String) -> Result<(), CliError> {
    match option.meaning.setting {
        Setting::Verbose => options.verbose = true,
        Setting::Stats => options.stats = true,
        Setting::Json => options.json = true,
        Setting::Inet => options.family = Family::Inet,
        Setting::Inet6 => options.family = Family::Inet6,
        Setting::Family => options.family = family(&value)?,
        Setting::Interval => {
            let seconds = at_least_1(option.long, &value)?;
            options.interval = Some(Duration::from_secs(seconds.into()));
        }
        Setting::Count => options.count = Some(at_least_1(option.long, &value)?),
        Setting::Socket => options.socket = Some(value),
        Setting::Help => options.help = true,
        Setting::Version => options.version = true,
        Setting::Ignored => {}
    }
    Ok(())
}

fn family(word: &str) -> Result<Family, CliError> {
    match word {
        "inet" => Ok(Family::Inet),
        "inet6" => Ok(Family::Inet6),
        _ => Err(CliError::failed(format!(
            "invalid family '{word}': expected inet or inet6"
        ))),
    }
}

fn at_least_1(name: &str, word: &str) -> Result<u32, CliError> {
    let number = word.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| {
        CliError::failed(format!(
            "invalid --{name} '{word}': expected a whole number, at least 1 and less than 2^32"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn parsed(line: &str) -> (Options, Vec<String>) {
        parse(&words(line)).unwrap()
    }

    fn refused(line: &str) -> String {
        parse(&words(line)).unwrap_err().text
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
        assert!(refused("-c many link show").contains("invalid --count 'many'"));
        assert!(refused("-f ipv4 addr show").contains("inet or inet6"));
        assert!(refused("--json=yes").contains("takes no value"));
    }
}
