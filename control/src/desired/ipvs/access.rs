//! Deny and allow lists of services.

use inet::Prefix;
use ipvs_core::{AddrSet, ServiceKey};

use super::ServiceError;
use crate::desired::Desired;

/// Which list of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessList {
    /// Clients on it get no conn.
    Deny,
    /// Clients that are not on it get no conn.
    Allow,
}

/// Why an entry was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Of the service
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// It is listed
    #[error("{1} is on the {0} list of service {2} already", .list.name(), .prefix, .service)]
    Exists {
        /// Which list
        list: AccessList,
        /// What was to be added
        prefix: Prefix,
        /// Whose list
        service: ServiceKey,
    },
    /// It is not listed
    #[error(
        "{1} is not on the {0} list of service {2}: `ListAccess {3}` shows it",
        .list.name(), .prefix, .service, .list.api_name()
    )]
    Missing {
        /// Which list
        list: AccessList,
        /// What was to be taken off
        prefix: Prefix,
        /// Whose list
        service: ServiceKey,
    },
}

impl AccessList {
    const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }

    const fn api_name(self) -> &'static str {
        match self {
            Self::Deny => "ACCESS_LIST_DENY",
            Self::Allow => "ACCESS_LIST_ALLOW",
        }
    }
}

impl Desired {
    /// Lists a prefix.
    ///
    /// # Errors
    /// If there is no such service, or the prefix is listed.
    pub fn add_access(
        &mut self,
        key: &ServiceKey,
        list: AccessList,
        prefix: Prefix,
    ) -> Result<(), AccessError> {
        let entry = self.service_mut(key)?.access_list(list);
        if entry.get_or_insert_default().insert(prefix) {
            self.dirty.conns = true;
            return Ok(());
        }
        let service = *key;
        Err(AccessError::Exists {
            list,
            prefix,
            service,
        })
    }

    /// Removes a prefix from a list. An empty list has no effect.
    ///
    /// # Errors
    ///
    /// If there is no such service, or the prefix is not listed.
    pub fn del_access(
        &mut self,
        key: &ServiceKey,
        list: AccessList,
        prefix: Prefix,
    ) -> Result<(), AccessError> {
        let entry = self.service_mut(key)?.access_list(list);
        let was_there = entry.as_mut().is_some_and(|set| set.remove(prefix));
        if entry.as_ref().is_some_and(AddrSet::is_empty) {
            *entry = None;
        }
        let service = *key;
        if was_there {
            self.dirty.conns = true;
            Ok(())
        } else {
            Err(AccessError::Missing {
                list,
                prefix,
                service,
            })
        }
    }
}
