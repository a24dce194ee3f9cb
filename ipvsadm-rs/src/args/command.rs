//! The commands, and what each of them needs beside its options.

use std::fmt;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    AddService,
    EditService,
    DelService,
    Clear,
    Restore,
    Save,
    AddDest,
    EditDest,
    DelDest,
    List,
    Zero,
    AddLaddr,
    DelLaddr,
    GetLaddr,
    AddDenied,
    DelDenied,
    GetDenied,
    AddAllowed,
    DelAllowed,
    GetAllowed,
    SetTimeouts,
    Help,
    Version,
}

/// Whether a command is about one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamesService {
    Always,
    /// Without a service the command is about all of them.
    Maybe,
    Never,
}

impl Command {
    /// Whether the command is about one service.
    pub(crate) const fn names_service(self) -> NamesService {
        match self {
            Self::AddService
            | Self::EditService
            | Self::DelService
            | Self::AddDest
            | Self::EditDest
            | Self::DelDest
            | Self::AddLaddr
            | Self::DelLaddr
            | Self::AddDenied
            | Self::DelDenied
            | Self::AddAllowed
            | Self::DelAllowed => NamesService::Always,
            Self::List | Self::Zero | Self::GetLaddr | Self::GetDenied | Self::GetAllowed => {
                NamesService::Maybe
            }
            _ => NamesService::Never,
        }
    }

    /// How many words may follow that belong to no option, and what `--help` calls them.
    pub(crate) const fn words(self) -> (usize, &'static str) {
        match self {
            Self::SetTimeouts => (3, "TCP TCPFIN UDP"),
            Self::Restore => (1, "[FILE]"),
            _ => (0, ""),
        }
    }
}

/// The name that ipvsadm's messages have for a command.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddService => "add-service",
            Self::EditService => "edit-service",
            Self::DelService => "delete-service",
            Self::Clear => "flush",
            Self::Restore => "restore",
            Self::Save => "save",
            Self::AddDest => "add-server",
            Self::EditDest => "edit-server",
            Self::DelDest => "delete-server",
            Self::List => "list",
            Self::Zero => "zero",
            Self::AddLaddr => "add-laddr",
            Self::DelLaddr => "del-laddr",
            Self::GetLaddr => "get-laddr",
            Self::AddDenied => "add-blklst",
            Self::DelDenied => "del-blklst",
            Self::GetDenied => "get-blklst",
            Self::AddAllowed => "add-whtlst",
            Self::DelAllowed => "del-whtlst",
            Self::GetAllowed => "get-whtlst",
            Self::SetTimeouts => "set",
            Self::Help => "help",
            Self::Version => "version",
        })
    }
}
