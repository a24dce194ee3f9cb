//! Which gRPC status a refusal becomes.

use tonic::Status;

use crate::desired::{
    AccessError, AddressError, ChangeError, LaddrError, NoDevice, RouteError, ServiceError,
};

impl From<NoDevice> for Status {
    fn from(error: NoDevice) -> Self {
        Self::not_found(error.to_string())
    }
}

impl From<AddressError> for Status {
    fn from(error: AddressError) -> Self {
        let text = error.to_string();
        match error {
            AddressError::NoDevice(_)
            | AddressError::Missing { .. }
            | AddressError::OtherPrefixLen { .. } => Self::not_found(text),
            AddressError::Exists { .. } => Self::already_exists(text),
            AddressError::InUse { .. }
            | AddressError::IsWan { .. }
            | AddressError::LinkLocal { .. }
            | AddressError::OfDest(_) => Self::failed_precondition(text),
            AddressError::TooMany => Self::resource_exhausted(text),
            AddressError::NotUnicast { .. } | AddressError::PrefixLen(_) => {
                Self::invalid_argument(text)
            }
        }
    }
}

impl From<RouteError> for Status {
    fn from(error: RouteError) -> Self {
        let text = error.to_string();
        match error {
            RouteError::NoDevice(_) | RouteError::Missing(_) | RouteError::NoneAs(_) => {
                Self::not_found(text)
            }
            RouteError::Exists { .. } => Self::already_exists(text),
            RouteError::OfAddress { .. } => Self::failed_precondition(text),
            _ => Self::invalid_argument(text),
        }
    }
}

impl From<ServiceError> for Status {
    fn from(error: ServiceError) -> Self {
        let text = error.to_string();
        match error {
            ServiceError::Missing(_) | ServiceError::DestMissing { .. } => Self::not_found(text),
            ServiceError::NoWanAddress(_) | ServiceError::DestIsOurs { .. } => {
                Self::failed_precondition(text)
            }
            ServiceError::Exists(_) | ServiceError::DestExists { .. } => Self::already_exists(text),
            ServiceError::PortZero(_)
            | ServiceError::DestPortZero(_)
            | ServiceError::DestPortOfAnyPort { .. }
            | ServiceError::OnePacketNeedsUdp(_)
            | ServiceError::OnePacketNeedsNoReply { .. }
            | ServiceError::PersistentMatch(_)
            | ServiceError::ProxyMatch(_)
            | ServiceError::UoaNeedsUdp(_)
            | ServiceError::UoaBesideProxy(_)
            | ServiceError::UoaNeedsFullNat { .. }
            | ServiceError::UoaOptionNeedsIpv4 { .. }
            | ServiceError::SynProxyNeedsTcp(_)
            | ServiceError::TunnelSpread { .. }
            | ServiceError::SynProxyNeedsReplies { .. }
            | ServiceError::ProxyV1NeedsTcp(_)
            | ServiceError::ProxyOfSctp(_)
            | ServiceError::ProxyNeedsRewrite { .. }
            | ServiceError::DrainWithWeight(_)
            | ServiceError::NotUnicast(_)
            | ServiceError::PortKept { .. }
            | ServiceError::OtherFamily { .. }
            | ServiceError::WanOtherFamily { .. }
            | ServiceError::IcmpOtherFamily { .. }
            | ServiceError::PortOfSnat { .. }
            | ServiceError::NoDevice { .. }
            | ServiceError::ModeOfMatch { .. }
            | ServiceError::SnatOfVip { .. }
            | ServiceError::QidNeedsUdp(_)
            | ServiceError::Thresholds { .. } => Self::invalid_argument(text),
            ServiceError::TooManyDests(_)
            | ServiceError::TooManyServices
            | ServiceError::ServiceFull(_) => Self::resource_exhausted(text),
        }
    }
}

impl From<LaddrError> for Status {
    fn from(error: LaddrError) -> Self {
        match error {
            LaddrError::Service(error) => error.into(),
            LaddrError::NoDevice(error) => error.into(),
            LaddrError::Address(error) => error.into(),
            LaddrError::Exists { .. } => Self::already_exists(error.to_string()),
            LaddrError::Missing { .. } => Self::not_found(error.to_string()),
            LaddrError::TooMany { .. } => Self::resource_exhausted(error.to_string()),
            LaddrError::NotShared { .. }
            | LaddrError::Elsewhere { .. }
            | LaddrError::IsWan { .. } => Self::failed_precondition(error.to_string()),
        }
    }
}

impl From<ChangeError> for Status {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Service(error) => error.into(),
            ChangeError::Laddr(error) => error.into(),
            ChangeError::Access(error) => error.into(),
        }
    }
}

impl From<AccessError> for Status {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Service(error) => error.into(),
            AccessError::Exists { .. } => Self::already_exists(error.to_string()),
            AccessError::Missing { .. } => Self::not_found(error.to_string()),
        }
    }
}
