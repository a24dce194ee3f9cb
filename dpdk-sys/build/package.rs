//! What pkg-config says of DPDK.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt, fs};

use super::Result;

/// The oldest release that is supported and tested.
const OLDEST: &str = "22.11";

/// Variables that change pkg-config's answer.
const VARIABLES: &[&str] = &[
    "PKG_CONFIG",
    "PKG_CONFIG_PATH",
    "PKG_CONFIG_LIBDIR",
    "PKG_CONFIG_SYSROOT_DIR",
];

/// How DPDK is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linking {
    Static,
    Shared,
}

impl Linking {
    /// What `DPDK_LINK` asks for, else what suits the profile.
    ///
    /// # Errors
    /// If `DPDK_LINK` has another value.
    pub(crate) fn wanted() -> Result<Self> {
        println!("cargo::rerun-if-env-changed=DPDK_LINK");
        match env::var("DPDK_LINK").as_deref() {
            Ok("static") => Ok(Self::Static),
            Ok("shared") => Ok(Self::Shared),
            Ok("") | Err(_) if env::var("PROFILE")? == "release" => Ok(Self::Static),
            Ok("") | Err(_) => Ok(Self::Shared),
            Ok(other) => {
                Err(format!("invalid DPDK_LINK '{other}': expected static or shared").into())
            }
        }
    }
}

/// One answer of pkg-config. Headers, libraries and their folders all come from it, so they belong
/// to the same DPDK, whichever others are installed.
#[derive(Debug)]
pub(crate) struct Package {
    words: Vec<String>,
}

impl Package {
    /// Asks pkg-config.
    ///
    /// # Errors
    /// If there is no DPDK, or an older one than is supported.
    pub(crate) fn find(linking: Linking) -> Result<Self> {
        for variable in VARIABLES {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        pkg_config(&[&format!("--atleast-version={OLDEST}"), "libdpdk"]).map_err(missing)?;
        let answer = match linking {
            Linking::Static => pkg_config(&["--static", "--cflags", "--libs", "libdpdk"]),
            Linking::Shared => pkg_config(&["--cflags", "--libs", "libdpdk"]),
        };
        let words = answer.map_err(missing)?;
        rerun_after_an_upgrade()?;
        Ok(Self {
            words: words.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// The words for the compiler: all that are not for the linker. `-pthread` is for both.
    pub(crate) fn cflags(&self) -> Vec<String> {
        let for_linker = |word: &&String| {
            ["-L", "-l", "-Wl,"]
                .iter()
                .any(|option| word.starts_with(option))
        };
        let words = self.words.iter().filter(|word| !for_linker(word));
        words.cloned().collect()
    }

    /// Folders of libraries, in order. Those where the linker looks anyway are not among them.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.all("-L").into_iter().map(PathBuf::from).collect()
    }

    /// The names behind `-l`, each once and in the order of their last places, as static linking
    /// needs it. A name such as `:librte_eal.a` is that of a file.
    pub(crate) fn libraries(&self) -> Vec<&str> {
        let names = self.all("-l");
        let is_last = |(place, name): &(usize, &&str)| !names[place + 1..].contains(name);
        let last = names.iter().enumerate().filter(is_last);
        last.map(|(_, name)| *name).collect()
    }

    fn all(&self, option: &str) -> Vec<&str> {
        let words = self.words.iter();
        words.filter_map(|word| word.strip_prefix(option)).collect()
    }
}

/// Has Cargo ask again once another release took the place of the one that was found. Its files may
/// be older than this build, but EAL's library has the ABI's version in its name, so that the file
/// is gone then.
fn rerun_after_an_upgrade() -> Result<()> {
    let folder = pkg_config(&["--variable=libdir", "libdpdk"])?;
    let library = Path::new(folder.trim()).join("librte_eal.so");
    if let Ok(library) = fs::canonicalize(library) {
        println!("cargo::rerun-if-changed={}", library.display());
    }
    Ok(())
}

fn missing(why: impl fmt::Display) -> String {
    format!(
        "no DPDK {OLDEST} or newer: run `apt-get install libdpdk-dev`, or set PKG_CONFIG_PATH to \
         the folder of your libdpdk.pc ({why})"
    )
}

fn pkg_config(args: &[&str]) -> Result<String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let command = format!("{program} {}", args.join(" "));
    let output = Command::new(&program)
        .args(args)
        .output()
        .map_err(|why| format!("{program}: {why}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{command}` failed: {}", said.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
