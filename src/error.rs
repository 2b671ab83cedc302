//! What can go wrong, and the exit code of each (BSD `sysexits.h`).

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::run::signals::StopReason;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the program was doing to a path when the operating system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reading a file or listing a folder.
    Read,
    /// Creating a file or a folder, or renaming one into place.
    Create,
    /// Writing to a file that was created.
    Write,
}

impl Action {
    fn verb(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Create => "create",
            Action::Write => "write",
        }
    }
}

/// An error that a user can act on: what happened, where, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder the run needs is not there. Exit code 66.
    #[error("{what} not found: {}\n  {remedy}", path.display())]
    InputMissing {
        /// What the path would have held, as in "weights".
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// What the user can do.
        remedy: String,
    },

    /// An input is there but cannot be used. Exit code 65.
    #[error("{}: {reason}\n  {remedy}", path.display())]
    BadData {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What the user can do.
        remedy: String,
    },

    /// Training went where no model can come from. Exit code 65.
    #[error("{reason}\n  {remedy}")]
    Diverged {
        /// What the loss did.
        reason: String,
        /// What the user can do.
        remedy: String,
    },

    /// A download failed. Exit code 69.
    #[error("cannot download {url}: {reason}\n  {remedy}")]
    Download {
        /// The address.
        url: String,
        /// What the server or the network did.
        reason: String,
        /// What the user can do.
        remedy: String,
    },

    /// Another run holds the lock. Exit code 75.
    #[error("{}: {reason}", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// Who holds it since when.
        reason: String,
    },

    /// Somebody asked the run to end, or another machine of it failed. Exit code 143, 130, 75 or 69.
    #[error("stopped by {}\n  What is done is kept: the next start goes on from there.", _0.name())]
    Stopped(StopReason),

    /// The operating system refused. Exit code 77 without permission, 66 when a file to read is
    /// missing, 73 when one cannot be created, 74 otherwise.
    #[error("cannot {} {}: {source}{}", action.verb(), path.display(), io_remedy(source))]
    Io {
        /// What was tried.
        action: Action,
        /// On which path.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },

    /// What is asked for takes libtorch, which this program is not linked with. Exit code 64.
    #[error(
        "{what}: this program is not linked with libtorch\n  \
             Put `ec2train-torch` beside it, which is: `cargo build --release` builds both."
    )]
    NotLinked {
        /// What cannot be done.
        what: String,
    },

    /// The address to serve at cannot be had. Exit code 77 without permission, 73 otherwise.
    #[error("cannot listen on {address}: {source}\n  {}", listen_remedy(source))]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// What the operating system answered.
        source: io::Error,
    },

    /// A hyperparameter of a SageMaker job cannot be used. Exit code 64.
    #[error("hyperparameter {name} ({origin}) {reason}\n  {remedy}")]
    Hyperparameter {
        /// As it was given.
        name: String,
        /// Where it was given.
        origin: String,
        /// What is wrong with it.
        reason: String,
        /// What the user can do.
        remedy: String,
    },

    /// What the environment says cannot be. Exit code 64.
    #[error("{reason}\n  {remedy}")]
    Usage {
        /// What is wrong with which variable.
        reason: String,
        /// What the user can do.
        remedy: String,
    },

    /// Another machine of the run cannot be reached, or does not fit. Exit code 69.
    #[error("{peer} {reason}\n  {remedy}")]
    Peer {
        /// As in "rank 2 (algo-3)".
        peer: String,
        /// What it does or does not do.
        reason: String,
        /// What the user can do.
        remedy: String,
    },

    /// A library failed where no input of the user's is to blame. Exit code 70.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// The `map_err` of every I/O call: `fs::read(path).map_err(Error::io(Action::Read, path))`.
    pub fn io(action: Action, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { action, path, source }
    }

    /// An input at `path` that cannot be used.
    pub fn bad_data(
        path: impl AsRef<Path>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Error {
        Error::BadData {
            path: path.as_ref().to_path_buf(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    /// What is wrong, without the path: for lists that name the path themselves.
    pub fn reason(&self) -> String {
        match self {
            Error::BadData { reason, .. } => reason.clone(),
            Error::Io { action, source, .. } => format!("cannot {} it: {source}", action.verb()),
            error => error.to_string(),
        }
    }

    /// The process's exit code for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::InputMissing { .. } => 66,
            Error::BadData { .. } | Error::Diverged { .. } => 65,
            Error::Download { .. } | Error::Peer { .. } => 69,
            Error::Busy { .. } => 75,
            Error::Stopped(reason) => reason.exit_code(),
            Error::NotLinked { .. } | Error::Hyperparameter { .. } | Error::Usage { .. } => 64,
            Error::Internal(_) => 70,
            Error::Listen { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => 77,
                _ => 73,
            },
            Error::Io { action, source, .. } => match (source.kind(), action) {
                (io::ErrorKind::PermissionDenied, _) => 77,
                (io::ErrorKind::NotFound, Action::Read) => 66,
                (_, Action::Create) => 73,
                _ => 74,
            },
        }
    }
}

/// The remedy for the refusals that have one, as a second line.
fn io_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "\n  Check the owner and mode of this path, or start the program as its owner."
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "\n  The disk is full: `df -h .` shows it. Free some space and start again."
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "\n  The file system is mounted read-only: start the program in a folder it can write to."
        }
        _ => "",
    }
}

fn listen_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "Another program listens there: stop it, or name another port with `--listen`."
        }
        io::ErrorKind::PermissionDenied => "Ports below 1024 are the administrator's.",
        _ => "Name an address of this machine with `--listen`.",
    }
}

#[cfg(feature = "torch")]
impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Error::Internal(format!("libtorch: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_sysexits() {
        let io =
            |action, kind: io::ErrorKind| Error::io(action, "x")(io::Error::from(kind)).exit_code();
        assert_eq!(io(Action::Read, io::ErrorKind::NotFound), 66);
        assert_eq!(io(Action::Create, io::ErrorKind::NotFound), 73);
        assert_eq!(io(Action::Create, io::ErrorKind::ReadOnlyFilesystem), 73);
        assert_eq!(io(Action::Write, io::ErrorKind::StorageFull), 74);
        assert_eq!(io(Action::Write, io::ErrorKind::PermissionDenied), 77);
        assert_eq!(Error::bad_data("x", "is empty", "").exit_code(), 65);
    }

    #[test]
    fn an_io_error_names_its_path_and_a_remedy() {
        let error = Error::io(Action::Create, "TrainedModels/model.pth")(io::Error::from(
            io::ErrorKind::PermissionDenied,
        ));
        let text = error.to_string();
        assert!(text.contains("cannot create TrainedModels/model.pth"), "{text}");
        assert!(text.contains("Check the owner"), "{text}");
    }
}
