//! What was trained on what and where.

use maud::html;

use super::Section;
use crate::report::format::plural;
use crate::report::write::RunRecord;

/// Model, images, settings, machine.
pub(in crate::report) fn origin(run: &RunRecord) -> Section {
    let metadata = run.metadata;
    let (host, settings) = (&metadata.host, &metadata.hyperparameters);
    let body = html! {
        dl.facts {
            dt { "Model" } dd { (metadata.description) }
            dt { "Backbone" } dd { code { (metadata.backbone.file) } " (SHA-256 " code { (metadata.backbone.sha256) } ")" }
            dt { "model.pth" } dd { "SHA-256 " code { (metadata.model_sha256) } }
            dt { "Data set" } dd { code { (metadata.data.dir.to_string_lossy()) } " (BLAKE3 " code { (metadata.data.fingerprint) } ")" }
            dt { "Transform" } dd { "shorter side to " (metadata.transform.resize) " pixels, " (metadata.transform.crop) " pixels from the middle; " (plural(metadata.train_views as usize, "view", "views")) " of each train image" }
            dt { "Head" } dd {
                "learning rate " (settings.learning_rate) ", L2 penalty " (settings.l2_penalty) ", batches of "
                (settings.batch_size) ", at most " (settings.max_epochs) " epochs, seed " (settings.seed)
                "; kept epoch " (metadata.best_epoch) " of " (metadata.num_epochs)
                @if let Some(search) = &metadata.search { "; " (search.to_string()) }
            }
            dt { "Machine" } dd {
                @if let Some(instance) = &host.instance { (instance) "; " }
                (host.cpu_model) ", " (plural(host.num_cpus, "CPU", "CPUs")) ", "
                (format!("{:.1} GB", host.memory_bytes as f64 / 1e9)) " of memory"
            }
            dt { "Engine" } dd { (metadata.engine) ", " (plural(metadata.cost.num_workers, "worker", "workers")) }
            dt { "Program" } dd { (metadata.program) }
        }
    };
    Section { id: "origin", title: "What was trained on what and where", body }
}
