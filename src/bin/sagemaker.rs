//! The entry point of a container on SageMaker: `train` or `serve`. See `ec2train::sagemaker`.

fn main() -> ! {
    #[cfg(feature = "torch")]
    ec2train::libtorch::link();
    let code = ec2train::sagemaker::run(std::env::args_os());
    // All is written. libtorch's destructors would take 80 ms to free what the system frees.
    signal_hook::low_level::exit(code.into())
}
