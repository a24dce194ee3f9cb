//! `ipvsadm-rs`: services, real servers, local addresses and connections of dpvsd, with the grammar
//! and output of DPVS's ipvsadm.

mod args;
mod client;
mod list;
mod names;
mod output;
mod request;
mod restore;

use std::process::ExitCode;

use args::Command;
use cli::CliError;
use client::connect;
use proto::v1::AccessList;

fn main() -> ExitCode {
    cli::run("ipvsadm-rs", async { run(cli::arguments()?).await })
}

async fn run(args: Vec<String>) -> Result<(), CliError> {
    let line = args::parse(&args)?;
    // A wrong line is refused before the daemon is asked anything.
    args::check(&line)?;
    let change = request::change(&line)?;
    let socket = cli::socket_path(line.get("socket").map(str::to_owned));
    match line.command {
        Command::Help => cli::print(&args::help()),
        Command::Version => list::version(&socket).await,
        Command::List => list::list(&mut connect(&socket).await?, &line).await,
        Command::Save => list::save(&mut connect(&socket).await?).await,
        Command::GetDenied => {
            list::access::show(&mut connect(&socket).await?, &line, AccessList::Deny).await
        }
        Command::GetAllowed => {
            list::access::show(&mut connect(&socket).await?, &line, AccessList::Allow).await
        }
        Command::GetLaddr => list::laddrs(&mut connect(&socket).await?, &line).await,
        Command::Restore => {
            let text = restore::text(&line)?;
            if line.has("keep-going") {
                return restore::apply_each(&mut connect(&socket).await?, &text).await;
            }
            let changes = restore::changes(&text)?;
            restore::apply(&mut connect(&socket).await?, changes).await
        }
        command => match change {
            Some(change) => restore::apply_one(&mut connect(&socket).await?, change).await,
            None => Err(CliError::unsupported(&format!("'{command}'"))),
        },
    }
}
