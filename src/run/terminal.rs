//! A terminal that may go away, as that of an ssh session does.

use std::io;

use console::Term;
use indicatif::TermLike;

/// Stderr as a place for bars. What cannot be written to it is lost, and nothing else: the bars'
/// library panics on an error where a log line is written between two bars.
#[derive(Debug)]
pub(super) struct Terminal(Term);

impl Terminal {
    pub(super) fn stderr() -> Self {
        Terminal(Term::buffered_stderr())
    }
}

/// The bar is no reason to stop.
fn ignore(_: io::Result<()>) -> io::Result<()> {
    Ok(())
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        TermLike::width(&self.0)
    }

    fn height(&self) -> u16 {
        TermLike::height(&self.0)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        ignore(self.0.move_cursor_up(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        ignore(self.0.move_cursor_down(n))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        ignore(self.0.move_cursor_right(n))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        ignore(self.0.move_cursor_left(n))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        ignore(self.0.write_line(text))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        ignore(self.0.write_str(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        ignore(self.0.clear_line())
    }

    fn flush(&self) -> io::Result<()> {
        ignore(self.0.flush())
    }
}
