//! The hyperparameters of a job, from the first place that gives them.

pub(super) mod definitions;
mod given;
mod value;

use clap::ArgMatches;

use super::layout::Layout;
use crate::error::{Error, Result};
use crate::train::fit::Hyperparameters;
use definitions::{DEFINITIONS, Meaning, meaning};
use given::Given;

/// The constants of [`config`](crate::config) with what the arguments, then hyperparameters.json, then
/// `SM_HPS` say instead.
///
/// `SM_HP_*` are not read: a shell drops those with a dash in their names.
///
/// # Errors
/// [`Error::Hyperparameter`] for one that is unknown, given twice, cannot be understood or is out of
/// range.
pub(super) fn read(arguments: &ArgMatches, layout: &Layout) -> Result<Hyperparameters> {
    let mut hyperparameters = Hyperparameters::default();
    let mut given = given::in_arguments(arguments);
    given.extend(given::in_file(&layout.config_path("hyperparameters.json"))?);
    given.extend(given::in_environment()?);
    for one in &given {
        match meaning(&one.name) {
            Some(Meaning::Ignored(why)) => {
                log::warn!("hyperparameter {} is ignored: {why}", one.name)
            }
            Some(Meaning::Refused(remedy)) => {
                return Err(one.error("has no meaning here", (*remedy).into()));
            }
            Some(Meaning::Sets(_)) => {}
            None => return Err(unknown(&one.name, &one.source)),
        }
    }
    for definition in DEFINITIONS {
        let Meaning::Sets(set) = definition.meaning else { continue };
        let mut named = given.iter().filter(|one| definition.has_name(&one.name));
        let Some(first) = named.next() else { continue };
        if let Some(other) = named.find(|it| it.source == first.source && it.value != first.value) {
            let reason = format!("is given as {} and as {}", first.name, other.name);
            return Err(first.error(reason, "Leave one of them out.".into()));
        }
        set(&mut hyperparameters, &first.value).map_err(|expected| {
            let remedy = format!("It has to be {expected}. {}.", definition.help);
            first.error(format!("is {:?}", first.value), remedy)
        })?;
        log::info!("{} = {} ({})", definition.names[0], first.value, first.source);
    }
    Ok(hyperparameters)
}

/// That nobody defines the hyperparameter `name`.
pub(super) fn unknown(name: &str, source: &str) -> Error {
    let known: Vec<String> = DEFINITIONS
        .iter()
        .filter(|definition| matches!(definition.meaning, Meaning::Sets(_)))
        .map(|definition| match definition.names {
            [name] => (*name).to_owned(),
            [name, others @ ..] => format!("{name} (or {})", others.join(", ")),
            [] => String::new(),
        })
        .collect();
    Error::Hyperparameter {
        name: name.to_owned(),
        origin: source.to_owned(),
        reason: "is not known".into(),
        remedy: format!("Correct its name or leave it out. Known are: {}.", known.join(", ")),
    }
}

impl Given {
    fn error(&self, reason: impl Into<String>, remedy: String) -> Error {
        Error::Hyperparameter {
            name: self.name.clone(),
            origin: self.source.clone(),
            reason: reason.into(),
            remedy,
        }
    }
}
