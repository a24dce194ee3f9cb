//! The command line of ipvsadm: one command, a service, and options.
//!
//! [`parse`] takes it apart by the table in `table`, [`check()`] refuses what does not go together,
//! [`help()`] is `--help`. [`Line`] is what the rest of the program works with.

mod check;
mod command;
mod help;
mod table;

use cli::{CliError, Item};

pub(crate) use check::{SERVICE_OPTIONS, check, conflict, missing};
pub(crate) use command::Command;
pub(crate) use help::text as help;
use table::{Meaning, TABLE};

/// An option that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Its long name.
    pub name: &'static str,
    /// Its value. It is empty for a switch.
    pub value: String,
}

/// A command line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// What to do.
    pub command: Command,
    /// All options that are not the command, in the order in which they were given.
    pub options: Vec<Given>,
    /// Words that belong to no option: `--set tcp tcpfin udp`.
    pub words: Vec<String>,
}

impl Line {
    /// The value of an option, if it was given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|given| given.name == name)
            .map(|given| given.value.as_str())
    }

    /// Whether an option was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Takes a command line apart.
///
/// # Errors
/// If an option is unknown, or if LVS or DPVS has it and this program does not.
pub(crate) fn parse(args: &[String]) -> Result<Line, CliError> {
    let items = TABLE.parse(args);
    let items = items.map_err(|error| CliError::usage(error.to_string()))?;
    let mut commands = Vec::new();
    let mut line = Line {
        command: Command::List,
        options: Vec::new(),
        words: Vec::new(),
    };
    for item in items {
        match item {
            Item::Word(word) => line.words.push(word),
            Item::Option(option, value) => match option.meaning {
                Meaning::Command(command) => commands.push(command),
                Meaning::Absent(why) => {
                    let text = format!("there is no --{}: {why}", option.long);
                    return Err(CliError::usage(text));
                }
                _ => line.options.push(Given {
                    name: option.long,
                    value,
                }),
            },
        }
    }
    match commands[..] {
        [] => {}
        [command] => line.command = command,
        [..] => return Err(CliError::usage("multiple commands specified")),
    }
    read_as_sched_flags(&mut line);
    Ok(line)
}

/// LVS's `-b FLAGS` of a service. DPVS uses the letter for `--fullnat`, which only dests have, so
/// the parser takes the flags for a word.
fn read_as_sched_flags(line: &mut Line) {
    let is_service = matches!(line.command, Command::AddService | Command::EditService);
    let is_it = |given: &&mut Given| given.name == "fullnat";
    let fullnat = line.options.iter_mut().find(is_it);
    if let (true, Some(given), [_]) = (is_service, fullnat, &line.words[..]) {
        given.name = "sched-flags";
        given.value = line.words.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Line, CliError> {
        parse(
            &line
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    /// Command and options as one text.
    fn written(line: &Line) -> String {
        let options = line.options.iter().map(|given| match given.value.as_str() {
            "" => format!(" {}", given.name),
            value => format!(" {}={value}", given.name),
        });
        format!("{}{}", line.command, options.collect::<String>())
    }

    #[test]
    fn the_tutorial_s_lines_are_understood() {
        for (line, meant) in [
            (
                "-A -t 10.0.0.100:80 -s rr",
                "add-service tcp-service=10.0.0.100:80 scheduler=rr",
            ),
            (
                "-a -t 10.0.0.100:80 -r 192.168.100.2 -b",
                "add-server tcp-service=10.0.0.100:80 real-server=192.168.100.2 fullnat",
            ),
            (
                "--add-laddr -z 192.168.100.200 -t 10.0.0.100:80 -F dpdk0",
                "add-laddr laddr=192.168.100.200 tcp-service=10.0.0.100:80 ifname=dpdk0",
            ),
            (
                "-a -t 192.168.100.254:80 -r 192.168.100.2 -g",
                "add-server tcp-service=192.168.100.254:80 real-server=192.168.100.2 gatewaying",
            ),
            (
                "-a -t 10.140.31.48:80 -r 10.140.18.33 -i",
                "add-server tcp-service=10.140.31.48:80 real-server=10.140.18.33 ipip",
            ),
            (
                "-A -t 192.168.0.89:80 -s -rr",
                "add-service tcp-service=192.168.0.89:80 scheduler=-rr",
            ),
            (
                "-A -t 192.168.0.89:80 -r 10.140.18.33 -m",
                "add-service tcp-service=192.168.0.89:80 real-server=10.140.18.33 masquerading",
            ),
            ("-ln", "list numeric"),
            ("-Ln", "list numeric"),
            ("", "list"),
            ("--list --numeric", "list numeric"),
            ("-lnc", "list numeric connection"),
            ("-ln --stats --exact", "list numeric stats exact"),
            ("-G", "get-laddr"),
            // LVS has -b for what is --sched-flags in DPVS.
            (
                "-b sh-port -E -t 1.1.1.1:80 -s sh",
                "edit-service sched-flags=sh-port tcp-service=1.1.1.1:80 scheduler=sh",
            ),
            (
                "-e -w5 --u-threshold=9",
                "edit-server weight=5 u-threshold=9",
            ),
        ] {
            assert_eq!(written(&parsed(line).unwrap()), meant, "{line}");
        }
    }

    #[test]
    fn timeouts_follow_their_command() {
        let line = parsed("--set 90 3 300").unwrap();
        assert_eq!(line.command, Command::SetTimeouts);
        assert_eq!(line.words, ["90", "3", "300"]);
    }

    #[test]
    fn what_does_not_exist_says_why_in_one_sentence() {
        for (line, why) in [
            ("-A -f 1 -6", "say which packets are meant"),
            ("-A -q 1.1.1.1:80", "answers pings"),
            ("-A -1 ::1", "-H proto=icmpv6"),
            ("-A -t 1.1.1.1:80 --pe sip", "the client's address (-p)"),
            ("-A -u 1.1.1.1:443 --quic", "--hash-target qid"),
            ("-A -t 1.1.1.1:80 --dest-check tcp", "-r RIP -w 0"),
            ("-ln --detail-conn", "-lnc shows"),
            ("--stop-daemon", "do not share conns"),
            (
                "--start-daemon master --mcast-interface eth0",
                "do not share conns",
            ),
            ("-l --daemon", "do not share conns"),
        ] {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.status, 2, "{line}");
            assert!(
                error.text.starts_with("there is no --") && error.text.contains(why),
                "{line}: {}",
                error.text
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(
            parsed("-A -D").unwrap_err().text,
            "multiple commands specified"
        );
        assert!(parsed("-A --bogus").unwrap_err().text.contains("--bogus"));
        let near = parsed("-A --tcp-servce 1.1.1.1:80").unwrap_err().text;
        assert!(near.contains("did you mean '--tcp-service'?"), "{near}");
        let value = parsed("-l --numeric=yes").unwrap_err().text;
        assert!(value.contains("takes no value"), "{value}");
        let letter = parsed("-lnK").unwrap_err();
        assert!(letter.status == 2 && letter.text.contains("'-K'"));
        assert!(
            parsed("-A -t")
                .unwrap_err()
                .text
                .contains("'-t' needs a value")
        );
    }

    #[test]
    fn the_words_for_names_of_the_api_are_options_of_the_table() {
        for (name, words) in cli::API_WORDS {
            let words = words.trim_start_matches("ipvsadm-rs ");
            let option = words.split(' ').next().unwrap_or_default();
            if option.starts_with('-') {
                let args = [option.to_owned(), "1".to_owned()];
                assert!(TABLE.parse(&args).is_ok(), "{name}: {option}");
            }
        }
    }
}
