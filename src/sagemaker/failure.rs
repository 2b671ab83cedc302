//! The file that tells SageMaker why a job failed.

use std::fs;
use std::io;
use std::panic;
use std::path::Path;

use super::layout::Layout;
use crate::atomic_file;
use crate::error::Error;
use crate::run::signals::StopReason;

/// What SageMaker takes of the file as FailureReason.
const REASON_CHARS: usize = 1024;
const ELLIPSIS: &str = " [...]";

/// Deletes what a failed run before this one left, as in a container that is started again.
pub(super) fn clear(layout: &Layout) {
    let path = layout.failure_path();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::warn!("{}: {error}: it tells of a run before this one", path.display());
        }
        _ => {}
    }
}

/// Writes why the job failed. That it cannot be written is logged: the exit code tells of the failure
/// too.
pub(super) fn write(layout: &Layout, error: &Error) {
    let text = match error {
        Error::Stopped(reason) => stopped(*reason, &layout.checkpoints_dir()),
        error => error.to_string(),
    };
    write_text(&layout.failure_path(), &text);
}

/// Has panics written too, which are bugs.
pub(super) fn write_for_panics(layout: &Layout) {
    let path = layout.failure_path();
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        write_text(&path, &format!("internal error: {info}"));
        report(info);
    }));
}

fn stopped(reason: StopReason, checkpoints_dir: &Path) -> String {
    let dir = checkpoints_dir.display();
    let remedy = if checkpoints_dir.is_dir() {
        format!(
            "What is done is in {dir}: a job with the same CheckpointConfig goes on from there."
        )
    } else {
        format!("There is no {dir}: with a CheckpointConfig the next job would go on from here.")
    };
    format!("stopped by {}\n  {remedy}", reason.name())
}

fn write_text(path: &Path, text: &str) {
    let written = path
        .parent()
        .map_or(Ok(()), atomic_file::create_dir)
        .and_then(|()| atomic_file::replace_unsynced(path, contents(text).as_bytes()));
    if let Err(error) = written {
        log::warn!("SageMaker will not learn the reason: {error}");
    }
}

/// `text`, and where it is longer than SageMaker reads, its beginning and its last line, the remedy,
/// before the whole.
fn contents(text: &str) -> String {
    if text.chars().count() <= REASON_CHARS {
        return format!("{text}\n");
    }
    let first = |part: &str, num_chars| -> String { part.chars().take(num_chars).collect() };
    let remedy = text.rsplit_once('\n').map_or("", |(_, last)| last);
    let remedy = first(remedy, REASON_CHARS / 2);
    // The ellipsis and a line end besides.
    let room = REASON_CHARS - remedy.chars().count() - ELLIPSIS.len() - 1;
    let beginning = first(text, room);
    format!("{beginning}{ELLIPSIS}\n{remedy}\n\n{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sagemaker_reads_of_a_long_reason_has_its_beginning_and_the_remedy() {
        assert_eq!(contents("short\n  Do this."), "short\n  Do this.\n");
        let long = format!("/opt/ml/input: no images in: {}\n  Add images.", "Ä, ".repeat(900));
        let written = contents(&long);
        let read: String = written.chars().take(REASON_CHARS).collect();
        assert!(read.starts_with("/opt/ml/input: no images in: Ä"), "{read}");
        assert!(read.contains("[...]\n  Add images."), "{read}");
        assert!(written.ends_with(&(long + "\n")), "{written}");
    }

    #[test]
    fn a_place_that_cannot_be_written_to_stops_nobody() {
        let layout = Layout::at(Path::new("/proc/nonexistent"));
        clear(&layout);
        write(&layout, &Error::Internal("reason".into()));
    }
}
