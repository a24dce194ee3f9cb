//! `ipvsadm-rs`: services, real servers, local addresses and connections of dpvsd, with the grammar
//! and output of DPVS's ipvsadm.

mod args;
mod list;
mod output;
mod request;

use std::io::Read;
use std::process::ExitCode;

use args::{Command, Line};
use cli::CliError;
use proto::v1::ipvs_service_client::IpvsServiceClient;
use proto::v1::{Change, Empty, Timeouts, ZeroCountersRequest};
use tonic::transport::Channel;

pub(crate) type Client = IpvsServiceClient<Channel>;

const HELP: &str = "\
ipvsadm-rs, for dpvsd
Usage:
  ipvsadm-rs -A|E -t|u VIP:PORT [-s rr|wrr|wlc] [--conn-timeout SECONDS]
  ipvsadm-rs -D -t|u VIP:PORT
  ipvsadm-rs -C
  ipvsadm-rs -a|e -t|u VIP:PORT -r RIP[:PORT] -b [-w WEIGHT] [-x UPPER] [-y LOWER]
  ipvsadm-rs -d -t|u VIP:PORT -r RIP[:PORT]
  ipvsadm-rs --add-laddr|-P -z LIP -t|u VIP:PORT -F DEVICE
  ipvsadm-rs --del-laddr|-Q -z LIP -t|u VIP:PORT [-F DEVICE]
  ipvsadm-rs --get-laddr|-G [-t|u VIP:PORT]
  ipvsadm-rs -L|l [-t|u VIP:PORT] [-n] [-c] [--stats] [--rate] [--exact] [--thresholds] [--persistent-conn] [--timeout]
                 [--sockpair PROTO:CIP:CPORT:VIP:VPORT] [--cpu LCORE] [--json]
  ipvsadm-rs -Z [-t|u VIP:PORT]
  ipvsadm-rs -S [-n] > FILE; ipvsadm-rs -R < FILE
  ipvsadm-rs --set TCP TCPFIN UDP
Everywhere: --socket PATH (or DPVS_SOCKET)
";

fn main() -> ExitCode {
    cli::run("ipvsadm-rs", run(std::env::args().skip(1)))
}

async fn run(args: impl Iterator<Item = String>) -> Result<(), CliError> {
    let line = args::parse(args)?;
    request::check(&line)?;
    let wanted = request::change(&line)?;
    if line.command == Command::Help {
        return cli::print(HELP);
    }
    let timeouts = (line.command == Command::SetTimeouts)
        .then(|| parse_timeouts(&line))
        .transpose()?;
    let restore = (line.command == Command::Restore)
        .then(read_changes)
        .transpose()?;
    if line.command != Command::SetTimeouts
        && let Some(word) = line.words.first()
    {
        return Err(CliError::usage(format!("unexpected argument {word}")));
    }
    let socket = cli::socket_path(line.get("socket").map(str::to_owned));
    let mut client = IpvsServiceClient::new(cli::connect(&socket).await?);
    match line.command {
        Command::Clear => client.flush_services(Empty {}).await.map(drop)?,
        Command::Zero => {
            client
                .zero_counters(ZeroCountersRequest {
                    key: request::service(&line)?,
                })
                .await?;
        }
        Command::SetTimeouts => client
            .set_timeouts(timeouts.unwrap_or_default())
            .await
            .map(drop)?,
        Command::Restore => apply(&mut client, restore.unwrap_or_default()).await?,
        Command::Version => list::version(&mut client).await?,
        Command::List => list::list(&mut client, &line).await?,
        Command::Save => list::save(&mut client, &line).await?,
        Command::GetLaddr => list::laddrs(&mut client, &line).await?,
        _ => {
            if let Some(change) = wanted {
                client
                    .apply(tokio_stream::iter([change]))
                    .await
                    .map_err(without_number)?;
            }
        }
    }
    Ok(())
}

fn parse_timeouts(line: &Line) -> Result<Timeouts, CliError> {
    let seconds: Option<Vec<u32>> = line.words.iter().map(|word| word.parse().ok()).collect();
    match seconds.as_deref() {
        Some(&[tcp_s, tcp_fin_s, udp_s]) => Ok(Timeouts {
            tcp_s,
            tcp_fin_s,
            udp_s,
        }),
        _ => Err(CliError::usage(
            "--set needs three numbers of seconds: tcp tcpfin udp (0 leaves one as it is)",
        )),
    }
}

/// The lines of `-S` on standard input, with their numbers.
fn read_changes() -> Result<Vec<(usize, Change)>, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| CliError::failed(format!("cannot read standard input: {error}")))?;
    let lines = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines
        .map(|(text, number)| {
            let at = |error: CliError| CliError {
                text: format!("line {number}: {}", error.text),
                ..error
            };
            let line = args::parse(text.split_whitespace().map(str::to_owned)).map_err(at)?;
            request::check(&line).map_err(at)?;
            let change = request::change(&line).map_err(at)?;
            change.map(|change| (number, change)).ok_or_else(|| {
                at(CliError::usage(format!(
                    "'{}' cannot be restored",
                    line.command
                )))
            })
        })
        .collect()
}

/// Sends all changes as one: all of them are carried out, or none.
async fn apply(client: &mut Client, changes: Vec<(usize, Change)>) -> Result<(), CliError> {
    let (numbers, changes): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    let result = client.apply(tokio_stream::iter(changes)).await;
    result.map(drop).map_err(|status| {
        let (change, text) = split_number(status.message());
        let line = change.and_then(|change| numbers.get(change.checked_sub(1)?));
        let place = line
            .map(|line| format!("line {line}: "))
            .unwrap_or_default();
        let error = CliError::from(status.clone());
        CliError {
            text: format!("{place}{text} (nothing was restored)"),
            ..error
        }
    })
}

/// `change 7: sentence` of the daemon.
fn split_number(message: &str) -> (Option<usize>, &str) {
    message
        .strip_prefix("change ")
        .and_then(|rest| rest.split_once(": "))
        .and_then(|(number, text)| Some((Some(number.parse().ok()?), text)))
        .unwrap_or((None, message))
}

fn without_number(status: tonic::Status) -> CliError {
    let text = split_number(status.message()).1.to_owned();
    CliError {
        text,
        ..CliError::from(status)
    }
}
