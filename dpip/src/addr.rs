//! `dpip addr`.

use cli::{CliError, ip_message, ip_or_zero};
use proto::v1::address_service_client::AddressServiceClient;
use proto::v1::{Address, FlushAddressesRequest, ListAddressesRequest, SapoolUse, Scope};
use serde_json::{Value, json};

use crate::words::{Words, parse_prefix, unknown};
use crate::{Context, Verb};

const KEYWORDS: &[&str] = &[
    "dev",
    "broadcast",
    "scope",
    "valid_lft",
    "preferred_lft",
    "sapool",
];

pub async fn run(context: &Context, verb: Verb, words: Words) -> Result<(), CliError> {
    let request = parse(words)?;
    let family = context.options.family.into();
    match verb {
        Verb::Show => {
            let mut client = AddressServiceClient::new(context.connect().await?);
            let list = ListAddressesRequest {
                device: request.device,
                family,
            };
            let addresses = client.list_addresses(list).await?.into_inner().addresses;
            if context.options.json {
                cli::print_json(&addresses.iter().map(json).collect())
            } else {
                cli::print(
                    &addresses
                        .iter()
                        .map(|address| text(address, context.options.verbose))
                        .collect::<String>(),
                )
            }
        }
        Verb::Flush => {
            let device = named(&request)?;
            let mut client = AddressServiceClient::new(context.connect().await?);
            client
                .flush_addresses(FlushAddressesRequest { device, family })
                .await?;
            Ok(())
        }
        Verb::Add | Verb::Set | Verb::Del => {
            named(&request)?;
            if request.address.is_none() {
                return Err(CliError::failed(
                    "name the address, as in `dpip addr add 10.0.0.100/32 dev dpdk1`",
                ));
            }
            let mut client = AddressServiceClient::new(context.connect().await?);
            match verb {
                Verb::Add => client.add_address(request).await?,
                Verb::Set => client.set_address(request).await?,
                _ => client.del_address(request).await?,
            };
            Ok(())
        }
    }
}

fn named(request: &Address) -> Result<String, CliError> {
    if request.device.is_empty() {
        return Err(CliError::failed(
            "name the device, as in `dev dpdk0` (`dpip link show` lists them)",
        ));
    }
    Ok(request.device.clone())
}

fn parse(mut words: Words) -> Result<Address, CliError> {
    let mut address = Address::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "dev" => address.device = words.value("dev")?,
            "broadcast" | "brd" => address.broadcast = Some(ip_message(words.addr("broadcast")?)),
            "scope" => address.scope = scope(&words.value("scope")?)?.into(),
            // DPVS's own parser knows the second spelling only, its help the first.
            "valid_lft" | "preferred_lft" | "prefered_lft" => {
                lifetime(&words.value(&word)?, &word)?
            }
            "sapool" => address.sapool = true,
            _ if address.address.is_none()
                && word.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':')
                && word.contains(['.', ':', '/']) =>
            {
                let (addr, len) = parse_prefix(&word)?;
                address.address = Some(ip_message(addr));
                address.prefix_len = len;
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

/// A scope by name.
pub fn scope(word: &str) -> Result<Scope, CliError> {
    match word {
        "host" => Ok(Scope::Host),
        "kni_host" => Ok(Scope::KniHost),
        "link" => Ok(Scope::Link),
        "global" => Ok(Scope::Global),
        "site" => Ok(Scope::Site),
        _ => Err(unknown(word, &["host", "link", "global", "kni_host"])),
    }
}

/// A scope's name.
pub const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Host => "host",
        Scope::KniHost => "kni_host",
        Scope::Link => "link",
        Scope::Site => "site",
        Scope::Global | Scope::Unspecified => "global",
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

fn json(address: &Address) -> Value {
    let usage = address
        .sapool_use
        .map(|usage| json!({"used": usage.used, "free": usage.free, "missed": usage.missed}));
    json!({
        "address": ip_or_zero(address.address.as_ref()).to_string(),
        "prefix_len": address.prefix_len,
        "scope": scope_name(address.scope()),
        "device": address.device,
        "broadcast": cli::ip(address.broadcast.as_ref()).map(|addr| addr.to_string()),
        "sapool": usage,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Address, CliError> {
        parse(Words::new(
            line.split_whitespace().map(str::to_owned).collect(),
        ))
    }

    #[test]
    fn the_tutorial_s_lines_are_understood() {
        let address = parsed("10.0.0.100/32 dev dpdk1").unwrap();
        assert_eq!(
            (address.prefix_len, address.device.as_str(), address.sapool),
            (32, "dpdk1", false)
        );
        assert!(parsed("123.1.2.3/24 dev dpdk1 sapool").unwrap().sapool);
        assert_eq!(
            parsed("10.0.0.1 dev dpdk0 valid_lft forever prefered_lft forever")
                .unwrap()
                .prefix_len,
            32
        );
        assert!(
            parsed("10.0.0.1/33 dev dpdk0")
                .unwrap_err()
                .text
                .contains("0 to 32")
        );
        assert!(
            parsed("10.0.0.1 devv dpdk0")
                .unwrap_err()
                .text
                .contains("did you mean 'dev'?")
        );
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
            "inet 192.168.100.200/32 scope global dpdk0\n     valid_lft forever preferred_lft forever sa_used 0 sa_free 1032176 sa_miss 0\n"
        );
    }
}
