//! Ties the crate to libtorch: compiles the C++ seam and writes libtorch's folder into the
//! binary, so that it starts from cron and from any folder.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=native");
    // torch-sys exports it; absent without the `torch` feature.
    if let Ok(libtorch_lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        #[cfg(feature = "torch")]
        compile_native(std::path::Path::new(&libtorch_lib));
        // RPATH of the binaries: the folder of this build, then `lib` beside a binary that was
        // copied to another machine together with its libraries.
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch_lib}");
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/lib");
    }
}

#[cfg(feature = "torch")]
fn compile_native(libtorch_lib: &std::path::Path) {
    // Where torch-sys looks, whose C++ must see the same headers.
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let libtorch = std::env::var_os("LIBTORCH_INCLUDE")
        .map_or_else(|| libtorch_lib.with_file_name(""), std::path::PathBuf::from);
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .files(["native/onednn.cpp"])
        // System headers: their warnings are not ours.
        .flag("-isystem")
        .flag(libtorch.join("include"))
        .extra_warnings(true)
        // A call takes milliseconds inside libtorch; optimizing the templates of its headers in
        // every profile alike keeps one build time and one behaviour.
        .opt_level(1)
        .compile("ec2train_native");
}
