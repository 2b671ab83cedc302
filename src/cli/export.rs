//! `ec2train export [FORMAT]...`

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::print;
use crate::artifact;
use crate::error::Result;
use crate::export::{self, Exported, Format};
use crate::job::Job;

#[derive(Debug, Args)]
pub struct Arguments {
    /// What to write; every format without one
    #[arg(value_name = "FORMAT")]
    formats: Vec<Format>,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &Format::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(format!(
            "{}: {}",
            self.file_name(),
            self.summary()
        )))
    }
}

impl Arguments {
    /// Whether a format that is asked for is written by libtorch.
    pub fn needs_libtorch(&self) -> bool {
        self.formats.is_empty() || self.formats.iter().any(|format| format.needs_libtorch())
    }
}

pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let model = artifact::load(&job.model_dir)?;
    let formats = match arguments.formats.as_slice() {
        [] => all_possible(),
        chosen => chosen.to_vec(),
    };
    let exported = export::export(&model, &formats, &job.export_dir())?;
    print(&exported.iter().map(line).collect::<String>())
}

fn all_possible() -> Vec<Format> {
    let has_libtorch = export::torchscript::SAVE_MODULE.get().is_some();
    let (possible, others): (Vec<_>, Vec<_>) =
        Format::ALL.into_iter().partition(|format| has_libtorch || !format.needs_libtorch());
    for format in others {
        log::warn!("{} is left out: libtorch writes {}", format.file_name(), format.name());
    }
    possible
}

fn line(Exported { format, path, num_bytes }: &Exported) -> String {
    format!("{} ({:.1} MB): {}\n", path.display(), *num_bytes as f64 / 1e6, format.summary())
}
