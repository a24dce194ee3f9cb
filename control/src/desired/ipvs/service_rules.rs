//! Which services and dests are possible, and which options go together.

use ipvs_core::{FwdMode, HashTarget, Protocol, SchedulerKind, ServiceKey, ServiceOptions};
use packet::proxy::Version;
use packet::uoa::Mode;

use super::ServiceError;
use super::service_error::mode_name;
use super::{DestRequest, ServiceRequest};
use crate::desired::net::is_host;

impl ServiceRequest {
    /// Checks a service by itself.
    pub(in crate::desired) fn validate(&self) -> Result<(), ServiceError> {
        let is_persistent = self.options.persistence.is_some();
        let is_match = self.key.matcher.is_some();
        if is_match && is_persistent {
            return Err(ServiceError::PersistentMatch(self.key));
        }
        if !is_match && self.key.port == 0 && !is_persistent {
            return Err(ServiceError::PortZero(self.key));
        }
        let is_udp = self.key.protocol == Protocol::Udp;
        if self.options.is_one_packet && !is_udp {
            return Err(ServiceError::OnePacketNeedsUdp(self.key));
        }
        if self.options.syn_proxy.is_some() && (is_match || self.key.protocol != Protocol::Tcp) {
            return Err(ServiceError::SynProxyNeedsTcp(self.key));
        }
        if self.scheduler == SchedulerKind::Conhash(HashTarget::Qid) && !is_udp {
            return Err(ServiceError::QidNeedsUdp(self.key));
        }
        self.validate_telling()
    }

    /// Checks the options that tell dests who the client is.
    fn validate_telling(&self) -> Result<(), ServiceError> {
        let key = self.key;
        let is_match = key.matcher.is_some();
        if self.options.uoa.is_some() && (is_match || key.protocol != Protocol::Udp) {
            return Err(ServiceError::UoaNeedsUdp(key));
        }
        let Some(proxy) = self.options.proxy_protocol else {
            return Ok(());
        };
        if self.options.uoa.is_some() {
            return Err(ServiceError::UoaBesideProxy(key));
        }
        if is_match {
            return Err(ServiceError::ProxyMatch(key));
        }
        if key.protocol == Protocol::Sctp {
            return Err(ServiceError::ProxyOfSctp(key));
        }
        if proxy.version == Version::V1 && key.protocol != Protocol::Tcp {
            return Err(ServiceError::ProxyV1NeedsTcp(key));
        }
        Ok(())
    }
}

impl DestRequest {
    /// The outer sources of a tunnel are host addresses of the dest's family.
    fn validate_spread(&self) -> Result<(), ServiceError> {
        let Some(prefix) = self.tunnel_spread else {
            return Ok(());
        };
        let is_tunnel = matches!(self.fwdmode, FwdMode::Tunnel(_));
        let is_same_family = prefix.addr().is_ipv4() == self.addr.is_ipv4();
        if is_tunnel && is_same_family && is_host(prefix.addr()) {
            Ok(())
        } else {
            Err(ServiceError::TunnelSpread {
                addr: self.addr,
                prefix,
            })
        }
    }

    /// Checks a dest of this service.
    pub(in crate::desired) fn validate(
        &self,
        service: &ServiceRequest,
    ) -> Result<(), ServiceError> {
        self.validate_address(&service.key)?;
        self.validate_options(&service.key, &service.options)?;
        self.validate_port(&service.key)?;
        self.validate_spread()?;
        if self.drain_s.is_some() && self.weight != 0 {
            return Err(ServiceError::DrainWithWeight(self.addr));
        }
        if self.upper_threshold != 0 && self.lower_threshold > self.upper_threshold {
            return Err(ServiceError::Thresholds {
                addr: self.addr,
                port: self.port,
                upper: self.upper_threshold,
                lower: self.lower_threshold,
            });
        }
        Ok(())
    }

    /// Checks whether a dest's mode can do what the service asks for.
    fn validate_options(
        &self,
        key: &ServiceKey,
        options: &ServiceOptions,
    ) -> Result<(), ServiceError> {
        let (service, addr, fwdmode) = (*key, self.addr, mode_name(self.fwdmode));
        if options.is_one_packet && self.fwdmode.sees_replies() {
            return Err(ServiceError::OnePacketNeedsNoReply {
                service,
                addr,
                fwdmode,
            });
        }
        if options.syn_proxy.is_some() && !self.fwdmode.sees_replies() {
            return Err(ServiceError::SynProxyNeedsReplies {
                service,
                addr,
                fwdmode,
            });
        }
        if options.proxy_protocol.is_some() && !self.fwdmode.sees_replies() {
            return Err(ServiceError::ProxyNeedsRewrite {
                service,
                addr,
                fwdmode,
            });
        }
        let Some(uoa) = options.uoa else {
            return Ok(());
        };
        if self.fwdmode != FwdMode::FullNat {
            return Err(ServiceError::UoaNeedsFullNat {
                service,
                addr,
                fwdmode,
            });
        }
        if uoa.mode == Mode::IpOption && !(addr.is_ipv4() && key.addr.is_ipv4()) {
            return Err(ServiceError::UoaOptionNeedsIpv4 { service, addr });
        }
        Ok(())
    }

    fn validate_port(&self, key: &ServiceKey) -> Result<(), ServiceError> {
        let (service, addr, port) = (*key, self.addr, self.port);
        if self.fwdmode == FwdMode::Snat {
            return match port {
                0 => Ok(()),
                _ => Err(ServiceError::PortOfSnat { addr, port }),
            };
        }
        let keeps_port = self.fwdmode.keeps_port() || key.matcher.is_none();
        if key.port == 0 && port != 0 && keeps_port {
            return Err(ServiceError::DestPortOfAnyPort {
                service,
                addr,
                port,
            });
        }
        if key.port != 0 && port == 0 {
            return Err(ServiceError::DestPortZero(addr));
        }
        if self.fwdmode.keeps_port() && port != key.port {
            return Err(ServiceError::PortKept {
                service,
                addr,
                port,
                fwdmode: mode_name(self.fwdmode),
            });
        }
        Ok(())
    }

    fn validate_address(&self, key: &ServiceKey) -> Result<(), ServiceError> {
        let (service, addr, fwdmode) = (*key, self.addr, mode_name(self.fwdmode));
        if self.fwdmode == FwdMode::Snat && key.matcher.is_none() {
            return Err(ServiceError::SnatOfVip {
                service,
                addr,
                fwdmode,
            });
        }
        if !is_host(addr) {
            return Err(ServiceError::NotUnicast(addr));
        }
        if addr.is_ipv4() == key.addr.is_ipv4() {
            return Ok(());
        }
        if self.fwdmode == FwdMode::Snat {
            return Err(ServiceError::WanOtherFamily { service, addr });
        }
        if matches!(key.protocol, Protocol::Icmp | Protocol::IcmpV6) {
            return Err(ServiceError::IcmpOtherFamily { service, addr });
        }
        if self.fwdmode.joins_families() {
            return Ok(());
        }
        Err(ServiceError::OtherFamily {
            service,
            addr,
            fwdmode,
        })
    }
}
