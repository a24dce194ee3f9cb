//! The options of a program: one table, from which command lines are parsed and `--help` is
//! written. Man pages and completion can come from the same table.

use std::ffi::OsString;

use lexopt::{Arg, Parser};
use thiserror::Error;

use crate::nearest::nearest;

/// Columns of a line of help.
pub const HELP_WIDTH: usize = 100;

/// What may follow an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is a switch.
    Nothing,
    /// A value, whatever it looks like. The text is its name in `--help`.
    Value(&'static str),
    /// A number, or nothing. The text is its name in `--help`.
    OptionalNumber(&'static str),
}

/// An option.
#[derive(Debug, Clone, Copy)]
pub struct Opt<Meaning> {
    /// The long name without its dashes. Empty if there is none.
    pub long: &'static str,
    /// The letters that mean the same as the long name. Most options have one or none.
    pub letters: &'static str,
    /// What may follow.
    pub takes: Takes,
    /// What the program makes of it, and which commands take it.
    pub meaning: Meaning,
    /// One line of help.
    pub help: &'static str,
}

impl<Meaning> Opt<Meaning> {
    /// The option as `--help` shows it: `-w, --weight WEIGHT`.
    pub fn usage(&self) -> String {
        let letters = self.letters.chars().map(|letter| format!("-{letter}"));
        let long = (!self.long.is_empty()).then(|| format!("--{}", self.long));
        let names: Vec<_> = letters.chain(long).collect();
        self.with_value(&names.join(", "))
    }

    /// The shortest way to write it: `-w WEIGHT`, `--drain SECONDS`.
    pub fn short_usage(&self) -> String {
        match self.letters.chars().next() {
            Some(letter) => self.with_value(&format!("-{letter}")),
            None => self.with_value(&format!("--{}", self.long)),
        }
    }

    fn with_value(&self, name: &str) -> String {
        match self.takes {
            Takes::Nothing => name.to_owned(),
            Takes::Value(value) => format!("{name} {value}"),
            Takes::OptionalNumber(value) => format!("{name} [{value}]"),
        }
    }
}

/// One part of a command line.
#[derive(Debug)]
pub enum Item<Meaning: 'static> {
    /// An option and its value, which is empty if none was given.
    Option(&'static Opt<Meaning>, String),
    /// A word that belongs to no option.
    Word(String),
}

/// Why a command line cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionError {
    /// There is no such option. The hint says which one may be meant.
    #[error("unknown option '{option}': {hint}")]
    Unknown {
        /// The option as it was given.
        option: String,
        /// Which option may be meant, or where they are listed.
        hint: String,
    },
    /// The command line ends where the value should be.
    #[error("option '{0}' needs a value after it")]
    NeedsValue(String),
    /// A switch was given a value.
    #[error("option '{option}' takes no value, yet '{value}' is given")]
    TakesNoValue {
        /// The option as it was given.
        option: String,
        /// What was given to it.
        value: String,
    },
}

/// All options of a program.
#[derive(Debug)]
pub struct OptionTable<Meaning: 'static> {
    /// The program's name, for messages.
    pub program: &'static str,
    /// The options in the order of `--help`.
    pub options: &'static [Opt<Meaning>],
    /// Whether the beginning of a long name is enough if no other name begins so.
    pub may_abbreviate: bool,
}

impl<Meaning> OptionTable<Meaning> {
    /// Takes a command line apart. Options and words may come in any order; letters may be
    /// bundled (`-lnc`), and a value may follow directly (`-w5`, `--weight=5`).
    ///
    /// # Errors
    /// With the option that is unknown, or whose value is missing or too much.
    pub fn parse(&self, args: &[String]) -> Result<Vec<Item<Meaning>>, OptionError> {
        let mut parser = Parser::from_args(args);
        // `-w=5` means the value `=5`, as getopt has it.
        parser.set_short_equals(false);
        let mut items = Vec::new();
        loop {
            let (option, shown) = match parser.next() {
                // Only a switch with a value is an error here, and `value` has caught those.
                Ok(None) | Err(_) => return Ok(items),
                Ok(Some(Arg::Value(word))) => {
                    items.push(Item::Word(text(word)));
                    continue;
                }
                Ok(Some(Arg::Short(letter))) => {
                    let found = self.by_letter(letter);
                    let option = found.ok_or_else(|| self.unknown_letter(letter, args))?;
                    (option, format!("-{letter}"))
                }
                Ok(Some(Arg::Long(name))) => {
                    let found = self.by_name(name);
                    let shown = format!("--{name}");
                    let option = found.ok_or_else(|| self.unknown(&shown, name))?;
                    (option, shown)
                }
            };
            let value = value(&mut parser, option.takes, &shown)?;
            items.push(Item::Option(option, value));
        }
    }

    /// Help for options in two columns. `help` returns what is said of an option, `None` if it
    /// is not to be listed.
    pub fn help(&self, help: impl Fn(&Opt<Meaning>) -> Option<String>) -> String {
        let described = self.options.iter().filter_map(|option| {
            // Long names stand below each other, whether there is a letter before them or not.
            let indent = if option.letters.is_empty() {
                "    "
            } else {
                ""
            };
            Some((format!("{indent}{}", option.usage()), help(option)?))
        });
        let lines: Vec<_> = described.collect();
        let width = lines.iter().map(|(usage, _)| usage.len()).max();
        let width = width.unwrap_or_default();
        let mut text = String::new();
        for (usage, help) in &lines {
            let mut line = format!("  {usage:<width$} ");
            for word in help.split(' ') {
                if line.len() + 1 + word.len() > HELP_WIDTH {
                    text.push_str(&format!("{line}\n"));
                    line = format!("  {:width$} ", "");
                }
                line.push_str(&format!(" {word}"));
            }
            text.push_str(&format!("{line}\n"));
        }
        text
    }

    fn by_letter(&self, letter: char) -> Option<&'static Opt<Meaning>> {
        let mut options = self.options.iter();
        options.find(|option| option.letters.contains(letter))
    }

    fn by_name(&self, name: &str) -> Option<&'static Opt<Meaning>> {
        let named = || self.options.iter().filter(|option| !option.long.is_empty());
        let mut begun = named().filter(|option| option.long.starts_with(name));
        named().find(|option| option.long == name).or_else(|| {
            begun
                .next()
                .filter(|_| begun.next().is_none() && self.may_abbreviate)
        })
    }

    /// Someone who wrote `-verbose` means `--verbose`: the whole argument is looked at.
    fn unknown_letter(&self, letter: char, args: &[String]) -> OptionError {
        let mut bundles = args.iter().filter_map(|arg| arg.strip_prefix('-'));
        let bundle = bundles.find(|rest| !rest.starts_with('-') && rest.contains(letter));
        self.unknown(&format!("-{letter}"), bundle.unwrap_or_default())
    }

    fn unknown(&self, option: &str, name: &str) -> OptionError {
        let names = self.options.iter().map(|option| option.long);
        let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        let hint = match nearest(name, &names) {
            Some(near) => format!("did you mean '--{near}'?"),
            None => format!("`{} --help` lists them", self.program),
        };
        OptionError::Unknown {
            option: option.to_owned(),
            hint,
        }
    }
}

/// The value of the option that was parsed last.
fn value(parser: &mut Parser, takes: Takes, shown: &str) -> Result<String, OptionError> {
    match takes {
        // After a letter, what follows in the bundle are more letters.
        Takes::Nothing if !shown.starts_with("--") => Ok(String::new()),
        Takes::Nothing => match parser.optional_value() {
            None => Ok(String::new()),
            Some(value) => Err(OptionError::TakesNoValue {
                option: shown.to_owned(),
                value: text(value),
            }),
        },
        Takes::Value(_) => parser
            .value()
            .map(text)
            .map_err(|_| OptionError::NeedsValue(shown.to_owned())),
        // lexopt's optional values must be attached. ipvsadm's may also be the next argument.
        Takes::OptionalNumber(_) => {
            let attached = parser.optional_value();
            let value = attached.or_else(|| parser.try_raw_args()?.next_if(is_number));
            Ok(value.map(text).unwrap_or_default())
        }
    }
}

fn is_number(arg: &std::ffi::OsStr) -> bool {
    arg.to_str().is_some_and(|text| text.parse::<u32>().is_ok())
}

/// The arguments were UTF-8 when they went in, so nothing is lost.
fn text(arg: OsString) -> String {
    arg.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn option(long: &'static str, letters: &'static str, takes: Takes) -> Opt<()> {
        Opt {
            long,
            letters,
            takes,
            meaning: (),
            help: "",
        }
    }

    const TABLE: OptionTable<()> = OptionTable {
        program: "tool",
        options: &[
            option("list", "Ll", Takes::Nothing),
            option("numeric", "n", Takes::Nothing),
            option("weight", "w", Takes::Value("WEIGHT")),
            option("persistent", "p", Takes::OptionalNumber("SECONDS")),
            option("", "6", Takes::Nothing),
        ],
        may_abbreviate: false,
    };

    /// A command line as someone may write it back.
    fn parsed(line: &str) -> Result<String, OptionError> {
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let items = TABLE.parse(&args)?;
        let written = items.iter().map(|item| match item {
            Item::Option(option, value) => format!("{}={value}", option.long),
            Item::Word(word) => word.clone(),
        });
        Ok(written.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn letters_are_bundled_and_values_may_be_attached() {
        for (line, meant) in [
            ("-ln", "list= numeric="),
            ("-L --numeric", "list= numeric="),
            ("-w5", "weight=5"),
            ("-nw 5", "numeric= weight=5"),
            ("--weight=5 word", "weight=5 word"),
            ("-w -5", "weight=-5"),
            ("-w=5", "weight==5"),
            ("-p", "persistent="),
            ("-p 600", "persistent=600"),
            ("-p600", "persistent=600"),
            ("--persistent=600", "persistent=600"),
            ("-p word", "persistent= word"),
            ("-p -n", "persistent= numeric="),
            ("-6 -", "= -"),
            ("-- -n", "-n"),
        ] {
            assert_eq!(parsed(line).unwrap(), meant, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, message) in [
            (
                "--weigth 5",
                "unknown option '--weigth': did you mean '--weight'?",
            ),
            (
                "--weigh 5",
                "unknown option '--weigh': did you mean '--weight'?",
            ),
            ("-numerc", "unknown option '-u': did you mean '--numeric'?"),
            ("-lx", "unknown option '-x': `tool --help` lists them"),
            ("-w", "option '-w' needs a value after it"),
            ("--weight", "option '--weight' needs a value after it"),
            (
                "--list=yes",
                "option '--list' takes no value, yet 'yes' is given",
            ),
        ] {
            assert_eq!(parsed(line).unwrap_err().to_string(), message, "{line}");
        }
    }

    #[test]
    fn help_is_in_columns() {
        let help = TABLE.help(|option| (option.long != "list").then(|| "what it does".to_owned()));
        assert_eq!(
            help,
            "  -n, --numeric               what it does
  -w, --weight WEIGHT         what it does
  -p, --persistent [SECONDS]  what it does
  -6                          what it does
"
        );
        assert_eq!(TABLE.options[2].short_usage(), "-w WEIGHT");
    }
}
