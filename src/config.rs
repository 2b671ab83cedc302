//! Every hard-coded path and hyperparameter of the main job.
//!
//! Paths are relative to the current directory, as in the script this program replaces. Nothing in
//! here can be changed from the command line: edit it and build again.

use std::time::Duration;

// --- Data -------------------------------------------------------------------------------------

/// `{train,valid,test}/<class>/<image>`; the layout of Udacity's dog breeds.
pub const DATA_DIR: &str = "data/dogImages";
/// Classes of the dog breeds. Another number of folders is a warning, not an error.
pub const EXPECTED_NUM_CLASSES: usize = 133;
/// 6,680 train, 835 valid and 836 test images, 1.1 GB.
pub const DATA_URL: &str =
    "https://s3-us-west-1.amazonaws.com/udacity-aind/dog-project/dogImages.zip";
/// Where that archive lies until it is unpacked. No published digest of it was
/// found: its length and the checksum of every file in it are compared instead.
pub const DATA_ZIP: &str = "data/dogImages.zip";

// --- Backbone ---------------------------------------------------------------------------------

/// Holds the weights file.
pub const WEIGHTS_DIR: &str = "data/weights";
/// The weights that are used when several are there: torchvision's IMAGENET1K_V1. Label smoothing
/// and mixup of V2 are reported to hurt fixed features (Kornblith et al. 2021).
pub const WEIGHTS_FILE: &str = "resnet50-0676ba61.pth";
/// IMAGENET1K_V1 and IMAGENET1K_V2; the eight hex digits begin each file's SHA-256.
pub const WEIGHTS_URLS: [&str; 2] = [
    "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
];
/// SHA-256 of the two files, in the same order. torchvision gives the first eight digits; the rest
/// is what many independent public projects pin, 102,530,333 and 102,540,417 bytes long.
pub const WEIGHTS_SHA256: [&str; 2] = [
    "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
];
/// Width of ResNet50's pooled features, and of the head's input.
pub const NUM_FEATURES: usize = 2048;

// --- Transform --------------------------------------------------------------------------------

/// Shorter side after resizing, in pixels: torchvision's recipe for IMAGENET1K_V1.
pub const RESIZE_V1: u32 = 256;
/// The same for IMAGENET1K_V2.
pub const RESIZE_V2: u32 = 232;
/// Side of the centre crop, in pixels.
pub const CROP: u32 = 224;
/// ImageNet's mean per channel, RGB, in units of the full range 0 to 1.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's standard deviation per channel, RGB.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

// --- Views ------------------------------------------------------------------------------------

/// Views of each train image that the head learns from: the eval transform, then random crops,
/// mirrored or not. Each view costs as much as an image. On the built-in sample they take top-1 on
/// the test split from 86.7 % to 81.5 % with two and 75.2 % with four (means of three seeds):
/// crops of this size hide what its textures are told apart by. Photographs with a pretrained
/// backbone were not at hand.
pub const TRAIN_VIEWS: u32 = 1;
/// Smallest and largest part of the image's area that a random crop shows: torchvision's default.
pub const VIEW_SCALE: [f64; 2] = [0.08, 1.0];
/// Least and greatest width of a random crop, in heights: torchvision's default.
pub const VIEW_RATIO: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];

// --- Feature extraction -----------------------------------------------------------------------

/// Images a worker takes from file to features at once. At 8 glibc reuses every buffer; at 16 and
/// 32 each pass costs tens of thousands of page faults.
pub const CHUNK: usize = 8;

/// Keeps features from run to run, below the folder of the artifacts. It can be deleted at any time;
/// the next run then computes them anew.
pub const FEATURES_DIR: &str = "features";
/// SHA-256 of the weights and of the standing model, among the features: a run reads neither for it
/// while they have not changed. Also of what a new model begins with, the backbone.
pub const DIGESTS_FILE: &str = "digests.json";
/// The small pictures of the latest report, there too: the next one need not decode these images again.
pub const THUMBNAILS_FILE: &str = "thumbnails.jsonl";
/// Features of train and valid that are held in memory at most: of more the fit reads what it needs from the disk, as
/// often as it needs it. Those of the breeds take 62 MB.
pub const FEATURES_IN_MEMORY_BYTES: usize = 64 << 20;
/// Features of other weights, engines or transforms are kept up to this size, the latest first.
pub const STORE_UNUSED_BYTES: u64 = 1 << 30;

// --- Training the head ------------------------------------------------------------------------

/// Seeds the random views and the order of the mini-batches.
pub const SEED: u64 = 133;
/// Images per step.
pub const BATCH_SIZE: usize = 64;
/// Passes over the train split at most; the learning rate falls to zero over them. What they leave of
/// the way to the optimum the choice among `L2_PENALTIES` goes: without it, more pay.
pub const MAX_EPOCHS: usize = 30;
/// Epochs without a lower validation loss after which training ends.
pub const PATIENCE: usize = 5;
/// Adam's peak step size, for features that are centred and scaled to a variance of one.
pub const LEARNING_RATE: f64 = 3e-3;
/// L2 penalty on the weights, not on the bias: the loss is `mean cross-entropy + L2 / 2 * |W|^2`,
/// for features that are centred and scaled to a variance of one. The epochs are trained with it.
pub const L2_PENALTY: f64 = 1e-3;
/// What the penalty is then chosen from, by the validation loss of the optimum for each. Empty: the head
/// of the best epoch is kept.
pub const L2_PENALTIES: [f64; 9] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1];

// --- Fine-tuning deeper --------------------------------------------------------------------------

/// Where the trained part of the network begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainFrom {
    /// The head alone, on the features of the frozen backbone.
    #[default]
    Head,
    /// `layer4` too, after the head was fitted: two thirds of the backbone's 23.5 million parameters.
    /// What comes before it is computed once; 0.4 MB an image are stored. Needs the feature `torch`.
    Layer4,
}
/// `Layer4` takes minutes an epoch where `Head` takes milliseconds.
pub const TRAIN_FROM: TrainFrom = TrainFrom::Head;
/// Images per step: half a second's work on two cores, after which a request to stop is noticed.
pub const LAYER4_BATCH_SIZE: usize = 16;
/// Passes over the train split at most; the learning rates fall to zero over them.
pub const LAYER4_MAX_EPOCHS: usize = 6;
/// Epochs without a lower validation loss after which training ends.
pub const LAYER4_PATIENCE: usize = 3;
/// SGD's peak step size for `layer4`: small, since its weights are good already.
pub const LAYER4_LEARNING_RATE: f64 = 1e-4;
/// SGD's peak step size for the head, on plain features: with this momentum, steps above `3.8 / L`
/// diverge, where L is up to a quarter of the features' squared norm.
pub const LAYER4_HEAD_LEARNING_RATE: f64 = 1e-3;
/// Share of the velocity that a step of SGD keeps.
pub const LAYER4_MOMENTUM: f64 = 0.9;
/// L2 penalty on the weights, not on biases or norms.
pub const LAYER4_WEIGHT_DECAY: f64 = 1e-4;

/// Where fine-tuning goes on from after it was stopped, below the folder of the artifacts: 180 MB.
pub const LAYER4_CHECKPOINT_FILE: &str = "layer4.checkpoint";

// --- Artifacts --------------------------------------------------------------------------------

/// Where everything a run leaves behind goes.
pub const MODEL_DIR: &str = "TrainedModels";

/// Rows that `ec2train bench --save` appends.
pub const BENCH_CSV: &str = "TrainedModels/bench/bench.csv";

/// What `ec2train export` writes, below the folder of the artifacts.
pub const EXPORT_DIR: &str = "export";

// --- Running unattended -----------------------------------------------------------------------

/// Trainings whose models are kept, the standing one besides: 95 MB each.
pub const KEPT_MODELS: usize = 3;
/// A new model whose top-1 accuracy on the same test split is lower than the standing one's by more
/// than this is kept beside it. On the 836 test images of the dog breeds one standard error of an
/// accuracy of 0.85 is 0.012: less than this is chance.
pub const ACCURACY_TOLERANCE: f64 = 0.02;
/// Metrics of the run that goes on, among the folders of those that are finished.
pub const LIVE_DIR: &str = "live";
/// Metrics of all runs for CloudWatch's agent, below the folder of the artifacts.
pub const METRICS_LOG: &str = "log/metrics.emf.jsonl";
/// Where that log is longer when a run starts, another is begun. A run of an hour adds 0.6 MB.
pub const METRICS_LOG_BYTES: u64 = 8 << 20;
/// Where a fit goes on from after it was stopped, below the folder of the artifacts.
pub const CHECKPOINT_FILE: &str = "fit.checkpoint";

// --- Serving ----------------------------------------------------------------------------------

/// Where `ec2train serve` listens: on this machine alone.
pub const SERVE_ADDRESS: &str = "127.0.0.1:8080";
/// Whether requests may name an address that the server then fetches an image from.
pub const SERVE_FETCH_URLS: bool = true;
/// Largest body of a request, and largest image fetched by address: what SageMaker lets through.
pub const SERVE_MAX_PAYLOAD_BYTES: usize = 6 << 20;
/// Images that may wait for a worker. At 20 images/s the last one waits 3 s.
pub const SERVE_QUEUE: usize = 64;
/// Before a request is refused because too much waits: clients that come again at once must not take
/// the CPU from the workers.
pub const SERVE_REFUSAL_PAUSE: Duration = Duration::from_millis(100);
/// Images in one request.
pub const SERVE_MAX_INSTANCES: usize = 32;
/// Bodies of requests held at once, in all.
pub const SERVE_MAX_BODIES_BYTES: usize = 64 << 20;
/// Memory that decoding one image may take: 89 megapixels of a baseline JPEG, 29 of a progressive one.
pub const SERVE_MAX_DECODE_BYTES: u64 = 256 << 20;
/// Connections open at once; each needs a file descriptor and up to 64 KiB.
pub const SERVE_MAX_CONNECTIONS: usize = 512;
/// A connection without a whole request head for this long is closed. Longer than the 60 s for which
/// AWS's load balancers keep connections: otherwise they would use one that is being closed.
pub const SERVE_IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// For receiving the body of a request, and for a client to take a part of the answer.
pub const SERVE_TRANSFER_TIMEOUT: Duration = Duration::from_secs(20);
/// For the answer, from when the body is there. SageMaker waits for 60 s.
pub const SERVE_ANSWER_TIMEOUT: Duration = Duration::from_secs(50);
/// For a fetch by address, name resolution and redirects included.
pub const SERVE_FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Fetches by address at once.
pub const SERVE_MAX_FETCHES: usize = 16;
/// What is in flight may end within this time after SIGTERM. SageMaker kills after 30 s.
pub const SERVE_DRAIN_TIMEOUT: Duration = Duration::from_secs(22);
/// For the answer to a ping. SageMaker waits for 2 s.
pub const SERVE_PING_TIMEOUT: Duration = Duration::from_millis(1500);
/// Pause between two looks at whether another model stands.
pub const SERVE_RELOAD_INTERVAL: Duration = Duration::from_secs(2);

// --- Several machines -------------------------------------------------------------------------

/// On which rank 0 waits for the others where nothing says otherwise: torchrun's default. Linux gives
/// ports from 32768 on to others.
pub const MASTER_PORT: u16 = 29500;
/// Until every process of a run has come. Instances that are started together are minutes apart.
pub const RENDEZVOUS_TIMEOUT: Duration = Duration::from_secs(900);
/// A process that has been silent for so long counts as lost, and the run ends. Beats come from a
/// thread of their own, so that a long computation is no silence; longer than an instance stands still
/// while its host is serviced. `EC2TRAIN_HEARTBEAT_TIMEOUT_S` overrides it.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for a process that beats, but has images left and finishes none, as on a disk that hangs. On
/// a t3.medium without CPU credits a chunk takes 2 s.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(600);
/// Between two beats at most, and until a failure elsewhere is noticed: a store request of 100 bytes.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// Features that are on the way at once, of all ranks together; rank 0 holds them in memory.
pub const EXCHANGE_BYTES: usize = 32 << 20;

// --- Amazon EC2 -------------------------------------------------------------------------------

/// Where an instance finds its metadata service; `AWS_EC2_METADATA_SERVICE_ENDPOINT` overrides it.
pub const METADATA_ENDPOINT: &str = "http://169.254.169.254";
/// For connecting and the whole answer. The service is on the machine itself and takes a few ms.
pub const METADATA_TIMEOUT: Duration = Duration::from_millis(100);
/// Pause between two looks at the machine during a run. EC2 asks for 5 s at most, so that two
/// minutes' notice is not wasted.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// Pause between two samples of the timeline of a run. It doubles whenever they have been thinned out.
pub const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);
/// Samples that a timeline has at most, 100 s of them at first; then every two become one. As many as
/// a plot can show; an even number.
pub const TIMELINE_SAMPLES: usize = 400;

/// The machine counts as throttled when more than this part of its CPU time is stolen...
pub const THROTTLED_STEAL: f64 = 0.10;
/// ... over this many seconds. A t3.medium without credits is at 80 % for as long as it works.
pub const THROTTLED_SECONDS: f64 = 30.0;

/// Of the prices below: what AWS's price list API gave to the Karpenter project
/// (aws/karpenter-provider-aws, zz_generated.pricing_aws.go).
pub const PRICES_AS_OF: &str = "2026-01-19";
/// Where these prices hold; other regions differ.
pub const PRICES_REGION: &str = "us-east-1";
/// On demand, Linux, in US dollars per hour. Types that are not here get no estimate.
pub const USD_PER_HOUR: [(&str, f64); 38] = [
    ("t3.nano", 0.0052),
    ("t3.micro", 0.0104),
    ("t3.small", 0.0208),
    ("t3.medium", 0.0416),
    ("t3.large", 0.0832),
    ("t3.xlarge", 0.1664),
    ("t3.2xlarge", 0.3328),
    ("t3a.nano", 0.0047),
    ("t3a.micro", 0.0094),
    ("t3a.small", 0.0188),
    ("t3a.medium", 0.0376),
    ("t3a.large", 0.0752),
    ("t3a.xlarge", 0.1504),
    ("t3a.2xlarge", 0.3008),
    ("m5.large", 0.096),
    ("m5.xlarge", 0.192),
    ("m5.2xlarge", 0.384),
    ("m6i.large", 0.096),
    ("m6i.xlarge", 0.192),
    ("m6i.2xlarge", 0.384),
    ("m7i.large", 0.1008),
    ("m7i.xlarge", 0.2016),
    ("m7i.2xlarge", 0.4032),
    ("m7a.large", 0.11592),
    ("m7a.xlarge", 0.23184),
    ("m7a.2xlarge", 0.46368),
    ("c5.large", 0.085),
    ("c5.xlarge", 0.17),
    ("c5.2xlarge", 0.34),
    ("c6i.large", 0.085),
    ("c6i.xlarge", 0.17),
    ("c6i.2xlarge", 0.34),
    ("c7i.large", 0.08925),
    ("c7i.xlarge", 0.1785),
    ("c7i.2xlarge", 0.357),
    ("c7a.large", 0.10264),
    ("c7a.xlarge", 0.20528),
    ("c7a.2xlarge", 0.41056),
];
/// What a T3 or T3a may use of each vCPU without spending credits, by size; EC2 User Guide,
/// "Key concepts for burstable performance instances".
pub const T3_BASELINES: [(&str, f64); 7] = [
    ("nano", 0.05),
    ("micro", 0.10),
    ("small", 0.20),
    ("medium", 0.20),
    ("large", 0.30),
    ("xlarge", 0.40),
    ("2xlarge", 0.40),
];
/// For what a T3 or T3a uses above its baseline when no credits are left, in unlimited mode, which
/// is their default; Linux, all regions.
pub const SURPLUS_CREDITS_USD_PER_VCPU_HOUR: f64 = 0.05;

// --- Amazon SageMaker ---------------------------------------------------------------------------

/// Where a container of SageMaker's finds its job; `SAGEMAKER_BASE_DIR` overrides it.
pub const SAGEMAKER_BASE_DIR: &str = "/opt/ml";

// --- The built-in sample ----------------------------------------------------------------------

/// Drawn by `ec2train sample`; layout of `DATA_DIR`.
pub const SAMPLE_DATA_DIR: &str = "data/sample/images";
/// Holds the constructed backbone of the sample.
pub const SAMPLE_WEIGHTS_DIR: &str = "data/sample/weights";
/// A ResNet50 by shape only: constructed filters, never trained.
pub const SAMPLE_WEIGHTS_FILE: &str = "resnet50-sample.pth";
/// Artifacts of `ec2train train --sample`, apart from those of real runs.
pub const SAMPLE_MODEL_DIR: &str = "TrainedModels/sample";
