//! `ec2train check`

use super::{print, print_json};
use crate::data::image_folder::Split;
use crate::data::inspect::{Inspection, inspect};
use crate::error::{Error, Result};
use crate::job::Job;

pub fn run(job: &Job, json: bool) -> Result<()> {
    let inspection = inspect(&job.data_dir)?;
    if json {
        print_json(&inspection)?;
    } else {
        print(&table(&inspection))?;
    }
    let num_findings = inspection.skipped.len() + inspection.leaks.len() + inspection.emptied.len();
    if num_findings == 0 {
        return Ok(());
    }
    Err(Error::bad_data(
        &job.data_dir,
        format!("{num_findings} findings, listed above"),
        "Remove or replace the files that are named.",
    ))
}

fn table(inspection: &Inspection) -> String {
    let mut text = format!("{}: {} classes\n", inspection.dir.display(), inspection.classes.len());
    text += "split   images  smallest class  largest class\n";
    for split in Split::ALL {
        let sizes = inspection.classes.iter().map(|class| class.num_images[split as usize]);
        text += &format!(
            "{:<6} {:>7} {:>15} {:>14}\n",
            split.name(),
            sizes.clone().sum::<usize>(),
            sizes.clone().min().unwrap_or(0),
            sizes.max().unwrap_or(0)
        );
    }
    for dir in &inspection.emptied {
        text += &format!("class without a usable image: {}\n", dir.display());
    }
    for file in &inspection.skipped {
        text += &format!("unusable: {}: {}\n", file.path.display(), file.reason);
    }
    for file in &inspection.damaged {
        text +=
            &format!("damaged, used as far as it goes: {}: {}\n", file.path.display(), file.reason);
    }
    for leak in &inspection.leaks {
        text += &format!(
            "same image in two splits: {} and {}\n",
            leak.train.display(),
            leak.held_out.display()
        );
    }
    text
}
