//! Where things are in a container.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::SAGEMAKER_BASE_DIR;

/// The folders of a job: those that SageMaker's training toolkit names in the environment, otherwise
/// those below the base folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    base_dir: PathBuf,
    /// Becomes model.tar.gz.
    pub(super) model_dir: PathBuf,
    /// Becomes output.tar.gz.
    pub(super) output_data_dir: PathBuf,
    /// Folders of channels that the environment names.
    channel_dirs: BTreeMap<String, PathBuf>,
}

impl Layout {
    /// Of this process.
    pub(super) fn from_env() -> Self {
        Layout::new(
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))),
        )
    }

    /// Of a process with this environment. Variables without a value count as unset.
    fn new(variables: impl IntoIterator<Item = (String, OsString)>) -> Self {
        let variables: BTreeMap<String, PathBuf> = variables
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, value.into()))
            .collect();
        let path = |name: &str| variables.get(name).cloned();
        let base_dir =
            path("SAGEMAKER_BASE_DIR").unwrap_or_else(|| PathBuf::from(SAGEMAKER_BASE_DIR));
        let channel_dirs = variables
            .iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix("SM_CHANNEL_")?.to_lowercase(), value.clone()))
            })
            .collect();
        Layout {
            model_dir: path("SM_MODEL_DIR").unwrap_or_else(|| base_dir.join("model")),
            output_data_dir: path("SM_OUTPUT_DATA_DIR")
                .unwrap_or_else(|| base_dir.join("output/data")),
            channel_dirs,
            base_dir,
        }
    }

    /// A file of `input/config`.
    pub(super) fn config_path(&self, name: &str) -> PathBuf {
        self.base_dir.join("input/config").join(name)
    }

    /// Holds a folder per channel.
    pub(super) fn channels_dir(&self) -> PathBuf {
        self.base_dir.join("input/data")
    }

    /// The folder of a channel, if it is there.
    pub(super) fn channel_dir(&self, channel: &str) -> Option<PathBuf> {
        let named = self.channel_dirs.get(channel).cloned();
        let dir = named.unwrap_or_else(|| self.channels_dir().join(channel));
        dir.is_dir().then_some(dir)
    }

    /// SageMaker keeps it in S3 where the job asks for that.
    pub(super) fn checkpoints_dir(&self) -> PathBuf {
        self.base_dir.join("checkpoints")
    }

    /// Its first 1024 characters become the job's FailureReason.
    pub(super) fn failure_path(&self) -> PathBuf {
        self.base_dir.join("output/failure")
    }
}

#[cfg(test)]
impl Layout {
    /// Below `base_dir`, with nothing else in the environment.
    pub(super) fn at(base_dir: &std::path::Path) -> Self {
        Layout::new([("SAGEMAKER_BASE_DIR".to_owned(), base_dir.into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_comes_before_the_base_folder_and_that_before_opt_ml() {
        let layout = Layout::new([]);
        assert_eq!(layout.model_dir, PathBuf::from("/opt/ml/model"));
        assert_eq!(layout.failure_path(), PathBuf::from("/opt/ml/output/failure"));
        let set = |name: &str, value: &str| (name.to_owned(), OsString::from(value));
        let layout = Layout::new([
            set("SAGEMAKER_BASE_DIR", "/base"),
            set("SM_MODEL_DIR", "/elsewhere/model"),
            set("SM_OUTPUT_DATA_DIR", ""),
            set("SM_CHANNEL_TRAINING", "/tmp"),
        ]);
        assert_eq!(layout.model_dir, PathBuf::from("/elsewhere/model"));
        assert_eq!(layout.output_data_dir, PathBuf::from("/base/output/data"));
        assert_eq!(layout.channel_dir("training"), Some(PathBuf::from("/tmp")));
        assert_eq!(layout.channel_dir("test"), None);
    }
}
