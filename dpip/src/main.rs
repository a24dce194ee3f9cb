//! `dpip`: addresses, routes, neighbours and links of dpvsd. Grammar and output are those of
//! DPVS's dpip.

mod addr;
mod eal_mem;
mod help;
mod link;
mod neigh;
mod options;
mod route;
mod scope;
mod words;

use std::process::ExitCode;

use cli::CliError;
use options::Options;
use tonic::transport::Channel;
use words::{Words, hint};

/// Objects of DPVS's dpip that are not supported yet.
const LATER: &[&str] = &[
    "vlan", "tunnel", "qsch", "cls", "ipv6", "iftraf", "ipset", "flow", "maddr", "lldp",
];
const COMMANDS: &[&str] = &["add", "del", "set", "replace", "show", "flush", "help"];
const OBJECTS: &[&str] = &["link", "addr", "route", "neigh", "eal-mem"];

/// What to do with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Del,
    Set,
    Replace,
    Show,
    Flush,
}

/// What every command needs: the options, and the path of the daemon's socket.
#[derive(Debug)]
struct Context {
    options: Options,
    socket: String,
}

impl Context {
    async fn connect(&self) -> Result<Channel, CliError> {
        cli::connect(&self.socket).await
    }
}

fn main() -> ExitCode {
    cli::run("dpip", async { run(cli::arguments()?).await })
}

async fn run(args: Vec<String>) -> Result<(), CliError> {
    let (options, words) = options::parse(&args)?;
    if options.version {
        return cli::print(&format!("dpip-{}\n", env!("CARGO_PKG_VERSION")));
    }
    let mut words = Words::new(words);
    let Some(object) = words.next().filter(|_| !options.help) else {
        cli::print(&help::all())?;
        return if options.help {
            Ok(())
        } else {
            Err(CliError::failed(
                "an object is missing: give one, e.g. `dpip addr show`",
            ))
        };
    };
    let object = object.as_str();
    if LATER.contains(&object) {
        return Err(CliError::unsupported(&format!("'dpip {object}'")));
    }
    let help = help::of(object).ok_or_else(|| {
        let hint = hint(object, OBJECTS);
        CliError::failed(format!(
            "unknown object '{object}'{hint} Objects: {}",
            OBJECTS.join(", ")
        ))
    })?;
    let Some(word) = words.next() else {
        cli::print(help)?;
        return Err(CliError::failed(format!(
            "a command is missing: give one, e.g. `dpip {object} show`"
        )));
    };
    if word == "help" {
        return cli::print(help);
    }
    let verb = verb(object, &word)?;
    let socket = cli::socket_path(options.socket.clone());
    let context = Context { options, socket };
    match object {
        "addr" => addr::run(&context, verb, words).await,
        "route" => route::run(&context, verb, words).await,
        "neigh" => neigh::run(&context, verb, words).await,
        "eal-mem" => eal_mem::run(&context, verb, words).await,
        _ => link::run(&context, verb, words).await,
    }
}

fn verb(object: &str, word: &str) -> Result<Verb, CliError> {
    match word {
        "add" => Ok(Verb::Add),
        "del" => Ok(Verb::Del),
        "set" | "change" => Ok(Verb::Set),
        "replace" => Ok(Verb::Replace),
        "show" | "list" => Ok(Verb::Show),
        "flush" => Ok(Verb::Flush),
        "create" | "destroy" | "enable" | "disable" | "test" => {
            Err(CliError::unsupported(&format!("'dpip {object} {word}'")))
        }
        _ => {
            let hint = hint(word, COMMANDS);
            Err(CliError::failed(format!(
                "invalid command '{word}'{hint} Commands: {}",
                COMMANDS.join(", ")
            )))
        }
    }
}
