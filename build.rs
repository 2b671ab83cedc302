//! Writes the folder of libtorch into the binary, so that it starts from cron and from any folder.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // torch-sys exports it; absent without the `torch` feature.
    if let Ok(libtorch_lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        // RPATH of the binaries: the folder of this build, then `lib` beside a binary that was
        // copied to another machine together with its libraries.
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch_lib}");
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/lib");
    }
}
