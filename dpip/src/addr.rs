//! `dpip addr`: the addresses of devices.

use cli::{CliError, ip_message, ip_or_zero};
use proto::v1::address_service_client::AddressServiceClient;
use proto::v1::{Address, AddressConflict, FlushAddressesRequest, ListAddressesRequest, SapoolUse};
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::scope::{scope, scope_name};
use crate::words::{Words, looks_like_addr, parse_prefix, unknown};
use crate::{Context, Verb};

const KEYWORDS: &[&str] = &[
    "dev",
    "broadcast",
    "scope",
    "valid_lft",
    "preferred_lft",
    "sapool",
];

pub(crate) async fn run(context: &Context, verb: Verb, words: Words) -> Result<(), CliError> {
    match verb {
        Verb::Show => show(context, words.device_only()?).await,
        Verb::Flush => {
            let device = named(words.device_only()?)?;
            let family = context.options.family.into();
            let request = FlushAddressesRequest { device, family };
            let mut client = client(context).await?;
            cli::done(client.flush_addresses(request).await)?;
            Ok(())
        }
        Verb::Add | Verb::Set | Verb::Replace | Verb::Del => {
            change(context, verb, parse(words, verb)?).await
        }
    }
}

async fn client(context: &Context) -> Result<AddressServiceClient<Channel>, CliError> {
    let client = AddressServiceClient::new(context.connect().await?);
    Ok(client.max_decoding_message_size(cli::MAX_ANSWER_BYTES))
}

async fn show(context: &Context, device: String) -> Result<(), CliError> {
    let family = context.options.family.into();
    let request = ListAddressesRequest { device, family };
    let answer = client(context).await?.list_addresses(request).await?;
    let addresses = answer.into_inner().addresses;
    if context.options.json {
        return cli::print_json(&addresses.iter().map(json).collect());
    }
    let verbose = context.options.verbose;
    let shown = addresses.iter().map(|address| text(address, verbose));
    cli::print(&shown.collect::<String>())
}

async fn change(context: &Context, verb: Verb, request: Address) -> Result<(), CliError> {
    if request.address.is_none() {
        return Err(CliError::failed(
            "an address is missing: give one, e.g. `dpip addr add 10.0.0.100/32 dev dpdk1`",
        ));
    }
    named(request.device.clone())?;
    let mut client = client(context).await?;
    cli::done(match verb {
        Verb::Add => client.add_address(request).await,
        Verb::Set | Verb::Replace => client.set_address(request).await,
        _ => client.del_address(request).await,
    })
}

fn named(device: String) -> Result<String, CliError> {
    if device.is_empty() {
        return Err(CliError::failed(
            "a device is missing: give one, e.g. `dev dpdk0` (`dpip link show` lists them)",
        ));
    }
    Ok(device)
}

fn parse(mut words: Words, verb: Verb) -> Result<Address, CliError> {
    let mut address = Address::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "dev" => address.device = words.value("dev")?,
            "broadcast" | "brd" => address.broadcast = Some(ip_message(words.addr("broadcast")?)),
            "scope" => address.scope = scope(&words.value("scope")?)?.into(),
            // DPVS's parser knows only `prefered_lft`, and its help says `preferred_lft`.
            "valid_lft" | "preferred_lft" | "prefered_lft" => {
                lifetime(&words.value(&word)?, &word)?;
            }
            "sapool" => address.sapool = true,
            _ if address.address.is_none() && looks_like_addr(&word) => {
                let (addr, len) = parse_prefix(&word)?;
                address.address = Some(ip_message(addr));
                // ip-address(8): without a length, `del` means the address whatever its length.
                let is_any = verb == Verb::Del && !word.contains('/');
                address.prefix_len = if is_any { 0 } else { len };
            }
            _ => return Err(unknown(&word, KEYWORDS)),
        }
    }
    Ok(address)
}

fn lifetime(word: &str, keyword: &str) -> Result<(), CliError> {
    if word == "forever" {
        Ok(())
    } else {
        Err(CliError::unsupported(&format!(
            "'{keyword} {word}' (a lifetime other than forever)"
        )))
    }
}

fn text(address: &Address, verbose: bool) -> String {
    let addr = ip_or_zero(address.address.as_ref());
    let family = if addr.is_ipv4() { "inet" } else { "inet6" };
    let broadcast = cli::ip(address.broadcast.as_ref())
        .map(|addr| format!("broadcast {addr}"))
        .unwrap_or_default();
    let head = format!(
        "{family} {addr}/{} scope {} {}\n",
        address.prefix_len,
        scope_name(address.scope()),
        address.device
    );
    let line = |usage: Option<&SapoolUse>| {
        let sapool = usage.map(|usage| {
            format!(
                " sa_used {} sa_free {} sa_miss {}",
                usage.used, usage.free, usage.missed
            )
        });
        format!(
            "    {broadcast} valid_lft forever preferred_lft forever{}\n",
            sapool.unwrap_or_default()
        )
    };
    let mut text = format!("{head}{}", line(address.sapool_use.as_ref()));
    text.extend(address.conflict.as_ref().map(conflict_text));
    if verbose {
        for worker in &address.worker_sapool_use {
            text.push_str(&format!(
                "[{:02}] {head}{}",
                worker.lcore,
                line(worker.r#use.as_ref())
            ));
        }
    }
    text
}

/// DPVS does not look for conflicts, so the line is there only if another host uses the address.
fn conflict_text(conflict: &AddressConflict) -> String {
    format!(
        "    conflict lladdr {} count {} last {}s\n",
        cli::mac(&conflict.mac),
        conflict.count,
        conflict.last_ms_ago / 1000
    )
}

fn conflict_json(conflict: &AddressConflict) -> Value {
    json!({
        "lladdr": cli::mac(&conflict.mac),
        "count": conflict.count,
        "last_ms_ago": conflict.last_ms_ago,
    })
}

fn json(address: &Address) -> Value {
    let usage = address.sapool_use.as_ref().map(use_json);
    let workers: Vec<_> = address
        .worker_sapool_use
        .iter()
        .map(|worker| json!({"lcore": worker.lcore, "use": worker.r#use.as_ref().map(use_json)}))
        .collect();
    json!({
        "address": ip_or_zero(address.address.as_ref()).to_string(),
        "prefix_len": address.prefix_len,
        "scope": scope_name(address.scope()),
        "device": address.device,
        "broadcast": cli::ip(address.broadcast.as_ref()).map(|addr| addr.to_string()),
        "sapool": usage,
        "sapool_by_worker": workers,
        "conflict": address.conflict.as_ref().map(conflict_json),
    })
}

fn use_json(usage: &SapoolUse) -> Value {
    json!({"used": usage.used, "free": usage.free, "missed": usage.missed})
}

#[cfg(test)]
mod tests {
    use proto::v1::{Scope, WorkerSapoolUse};

    use super::*;

    fn parsed(line: &str) -> Result<Address, CliError> {
        let words = line.split_whitespace().map(str::to_owned).collect();
        parse(Words::new(words), Verb::Add)
    }

    /// The words that an address could be written with.
    fn written(address: &Address) -> String {
        format!(
            "{}/{} {}{}",
            ip_or_zero(address.address.as_ref()),
            address.prefix_len,
            address.device,
            if address.sapool { " sapool" } else { "" }
        )
    }

    #[test]
    fn the_tutorial_s_lines_are_understood() {
        for (line, meant) in [
            ("10.0.0.100/32 dev dpdk1", "10.0.0.100/32 dpdk1"),
            ("10.0.0.100/16 dev dpdk1", "10.0.0.100/16 dpdk1"),
            ("192.168.100.254/32 dev dpdk0", "192.168.100.254/32 dpdk0"),
            ("192.168.100.1/24 dev dpdk0", "192.168.100.1/24 dpdk0"),
            ("10.140.16.48/20 dev dpdk0", "10.140.16.48/20 dpdk0"),
            ("192.168.0.66/24 dev bond0", "192.168.0.66/24 bond0"),
            ("10.140.31.48/20 dev bond0", "10.140.31.48/20 bond0"),
            ("123.1.2.3/24 dev dpdk1 sapool", "123.1.2.3/24 dpdk1 sapool"),
            ("dev dpdk1 sapool 123.1.2.3", "123.1.2.3/32 dpdk1 sapool"),
        ] {
            assert_eq!(written(&parsed(line).unwrap()), meant, "{line}");
        }
    }

    /// ip-address(8)
    #[test]
    fn an_address_is_deleted_with_its_length_or_whatever_its_length() {
        let len = |text: &str| {
            let words = ["dev", "dpdk0", text].map(str::to_owned).to_vec();
            parse(Words::new(words), Verb::Del).unwrap().prefix_len
        };
        assert_eq!((len("10.0.0.1"), len("10.0.0.1/24")), (0, 24));
    }

    #[test]
    fn both_spellings_of_the_preferred_lifetime_are_understood() {
        for spelling in ["preferred_lft", "prefered_lft"] {
            let line = format!("10.0.0.1 dev dpdk0 valid_lft forever {spelling} forever");
            assert_eq!(parsed(&line).unwrap().prefix_len, 32);
            let seconds = format!("10.0.0.1 dev dpdk0 {spelling} 60");
            assert_eq!(parsed(&seconds).unwrap_err().status, 2, "not yet");
        }
    }

    #[test]
    fn scopes_and_broadcast_are_understood() {
        let address = parsed("10.0.0.1/24 broadcast 10.0.0.255 dev dpdk0 scope link").unwrap();
        assert_eq!(address.scope(), Scope::Link);
        assert_eq!(
            ip_or_zero(address.broadcast.as_ref()).to_string(),
            "10.0.0.255"
        );
        let error = parsed("10.0.0.1 dev dpdk0 scope lnk").unwrap_err();
        assert!(error.text.contains("did you mean 'link'?"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, part) in [
            ("10.0.0.1/33 dev dpdk0", "0 to 32"),
            ("10.0.0.1 devv dpdk0", "did you mean 'dev'?"),
            ("10.0.0.1.1 dev dpdk0", "invalid IP address '10.0.0.1.1'"),
            ("10.0.0.1 dev", "'dev' needs a value"),
            ("10.0.0.1 dev dpdk0 dev dpdk1", "'dev' is given twice"),
            (
                "10.0.0.1 10.0.0.2 dev dpdk0",
                "'10.0.0.2' is not understood",
            ),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.text.contains(part), "{line}: {error}");
        }
    }

    /// Byte for byte as in the tutorial.
    #[test]
    fn addresses_are_shown_as_in_the_tutorial() {
        let vip = Address {
            address: Some(ip_message([10, 0, 0, 100].into())),
            prefix_len: 32,
            device: "dpdk1".into(),
            ..Address::default()
        };
        assert_eq!(
            text(&vip, false),
            "inet 10.0.0.100/32 scope global dpdk1\n     valid_lft forever preferred_lft forever\n"
        );
        let laddr = Address {
            address: Some(ip_message([192, 168, 100, 200].into())),
            device: "dpdk0".into(),
            sapool_use: Some(SapoolUse {
                used: 0,
                free: 1_032_176,
                missed: 0,
            }),
            ..vip
        };
        assert_eq!(
            text(&laddr, false),
            "inet 192.168.100.200/32 scope global dpdk0\n     valid_lft forever preferred_lft \
            forever sa_used 0 sa_free 1032176 sa_miss 0\n"
        );
    }

    #[test]
    fn a_conflict_is_shown_with_who_causes_it() {
        let vip = Address {
            address: Some(ip_message([10, 0, 0, 100].into())),
            prefix_len: 32,
            device: "dpdk1".into(),
            conflict: Some(AddressConflict {
                mac: vec![2, 0, 0, 0, 0, 9],
                count: 3,
                last_ms_ago: 12_500,
            }),
            ..Address::default()
        };
        assert_eq!(
            text(&vip, false).lines().last(),
            Some("    conflict lladdr 02:00:00:00:00:09 count 3 last 12s")
        );
        assert_eq!(json(&vip)["conflict"]["lladdr"], "02:00:00:00:00:09");
    }

    /// With `-v` DPVS also shows the part of each worker, after `[lcore]`.
    #[test]
    fn verbose_shows_the_workers() {
        let usage = |used, free| SapoolUse {
            used,
            free,
            missed: 0,
        };
        let address = Address {
            address: Some(ip_message([10, 0, 0, 1].into())),
            prefix_len: 24,
            device: "dpdk0".into(),
            broadcast: Some(ip_message([10, 0, 0, 255].into())),
            scope: Scope::Link.into(),
            sapool_use: Some(usage(1, 63)),
            worker_sapool_use: vec![WorkerSapoolUse {
                lcore: 1,
                r#use: Some(usage(1, 31)),
            }],
            ..Address::default()
        };
        let lines = "inet 10.0.0.1/24 scope link dpdk0
    broadcast 10.0.0.255 valid_lft forever preferred_lft forever sa_used ";
        assert_eq!(
            text(&address, true),
            format!("{lines}1 sa_free 63 sa_miss 0\n[01] {lines}1 sa_free 31 sa_miss 0\n")
        );
        assert_eq!(json(&address)["sapool_by_worker"][0]["use"]["free"], 31);
    }
}
