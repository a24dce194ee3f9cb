//! `ipvsadm-rs`: services, real servers, local addresses and connections of dpvsd, with the grammar
//! and output of DPVS's ipvsadm.

mod args;
mod client;
mod list;
mod names;
mod output;
mod request;
mod restore;
mod usage;

use std::process::ExitCode;

use args::Command;
use cli::CliError;
use client::connect;
use proto::v1::{AccessList, Empty, ZeroCountersRequest};

const HELP: &str = "\
ipvsadm-rs, for dpvsd
Usage:
  ipvsadm-rs -A|E -t|u VIP:PORT [-s SCHEDULER] [--sched-flags FLAG,...] [--hash-target sip|qid] [--conn-timeout SECONDS]
                 [-p [SECONDS] [-M NETMASK|LENGTH]] [--ops] [--expire-quiescent] [--conn-limit N] [--conn-rate-limit N]
                 [-j enable|disable|SYNS-PER-SECOND] [--proxy-protocol disable|v1|v2|v1-insecure|v2-insecure]
                 [--uoa ipo|opp [--uoa-max-trail DATAGRAMS]]
  ipvsadm-rs -D -t|u VIP:PORT
  ipvsadm-rs -C
  ipvsadm-rs -a|e -t|u VIP:PORT -r RIP[:PORT] [MODE] [-w WEIGHT] [-x UPPER] [-y LOWER] [-w 0 --drain SECONDS]
  ipvsadm-rs -a|e -H MATCH -r WANIP:0 -J [-w WEIGHT], or -r RIP[:PORT] [MODE] as above
  ipvsadm-rs -d -t|u VIP:PORT -r RIP[:PORT]
  ipvsadm-rs --add-laddr|-P -z LIP -t|u VIP:PORT -F DEVICE
  ipvsadm-rs --del-laddr|-Q -z LIP -t|u VIP:PORT [-F DEVICE]
  ipvsadm-rs --get-laddr|-G [-t|u VIP:PORT]
  ipvsadm-rs --add-blklst|-U -t|u VIP:PORT -k IP[/LENGTH]     deny list; --del-blklst|-V likewise
  ipvsadm-rs --add-whtlst|-O -t|u VIP:PORT -2 IP[/LENGTH]     allow list; --del-whtlst|-Y likewise
  ipvsadm-rs --get-blklst|-B, --get-whtlst|-W [-t|u VIP:PORT] [--json]
  ipvsadm-rs -L|l [-t|u VIP:PORT] [-n] [-c] [--stats] [--rate] [--exact] [--thresholds] [--persistent-conn] [--timeout]
                 [--sockpair PROTO:CIP:CPORT:VIP:VPORT] [--cpu LCORE] [--nosort] [--json]
  ipvsadm-rs -Z [-t|u VIP:PORT]
  ipvsadm-rs -S [-n] > FILE
  ipvsadm-rs -R [FILE]
  ipvsadm-rs --set TCP TCPFIN UDP
MODE: -b FullNAT, -g DR (default), -m NAT, -i tunnel [--tun-type ipip|gre|gue [--tun-port PORT]]
--sctp-service VIP:PORT goes wherever -t|u does.
MATCH, instead of -t|u VIP:PORT: proto=tcp|udp|sctp|icmp|icmpv6,src-range=IP[-IP][:PORT[-PORT]],dst-range=...,iif=DEVICE,oif=DEVICE
Long names: --add-service --edit-service --delete-service --clear --add-server --edit-server --delete-server
  --list --zero --save --restore --tcp-service --udp-service --scheduler --real-server --fullnat --gatewaying
  --masquerading --ipip --snat --match --weight
  --u-threshold --l-threshold --laddr --ifname --numeric --connection
Schedulers: rr wrr lc wlc (default) sed nq sh dh lblc lblcr fo ovf mh conhash
  flags of sh: sh-fallback sh-port; of mh: mh-fallback mh-port; hash target of conhash: sip (default), qid (UDP only)
Everywhere: --socket PATH (or DPVS_SOCKET)
";

fn main() -> ExitCode {
    cli::run("ipvsadm-rs", async { run(cli::arguments()?).await })
}

async fn run(args: Vec<String>) -> Result<(), CliError> {
    let line = args::parse(args.into_iter())?;
    // All that is wrong with the line itself is said before the daemon is asked anything.
    usage::check(&line)?;
    let service = request::service(&line)?;
    let change = request::change(&line)?;
    let socket = cli::socket_path(line.get("socket").map(str::to_owned));
    match line.command {
        Command::Help => cli::print(HELP),
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
