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
use proto::v1::{AccessList, Empty, ZeroCountersRequest};

fn main() -> ExitCode {
    cli::run("ipvsadm-rs", async { run(cli::arguments()?).await })
}

async fn run(args: Vec<String>) -> Result<(), CliError> {
    let line = args::parse(&args)?;
    // A wrong line is refused before the daemon is asked anything.
    args::check(&line)?;
    let service = request::service(&line)?;
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
            let changes = restore::changes(&restore::text(&line)?)?;
            restore::apply(&mut connect(&socket).await?, changes).await
        }
        Command::SetTimeouts => {
            let timeouts = request::timeouts(&line)?;
            connect(&socket).await?.set_timeouts(timeouts).await?;
            Ok(())
        }
        Command::Clear => {
            connect(&socket).await?.flush_services(Empty {}).await?;
            Ok(())
        }
        Command::Zero => {
            let request = ZeroCountersRequest { key: service };
            connect(&socket).await?.zero_counters(request).await?;
            Ok(())
        }
        command => match change {
            Some(change) => restore::apply_one(&mut connect(&socket).await?, change).await,
            None => Err(CliError::unsupported(&format!("'{command}'"))),
        },
    }
}
