//! x
fn main() {
    let t = std::time::Instant::now();
    ec2train::run::console::init();
    ec2train::sample::ensure(
        ec2train::config::SAMPLE_DATA_DIR.as_ref(),
        ec2train::config::SAMPLE_WEIGHTS_DIR.as_ref(),
    )
    .unwrap();
    println!("{:?}", t.elapsed());
}
