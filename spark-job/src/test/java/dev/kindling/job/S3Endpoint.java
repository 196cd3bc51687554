package dev.kindling.job;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** A real S3 endpoint over a folder, in a process of its own; objects are files of the bucket. */
final class S3Endpoint implements AutoCloseable {
  private static final Pattern READY =
      Pattern.compile("ServerConnector.*\\{127\\.0\\.0\\.1:(\\d+)}");
  private static final String KEY = "kindling";

  private final Process process;
  private final Path bucket;
  private final int port;

  S3Endpoint(Path folder) throws Exception {
    bucket = Files.createDirectories(folder.resolve("data/bucket"));
    Path settings =
        Files.writeString(
            folder.resolve("s3proxy.conf"),
            """
            s3proxy.authorization=aws-v2-or-v4
            s3proxy.endpoint=http://127.0.0.1:0
            s3proxy.identity=%1$s
            s3proxy.credential=%1$s
            jclouds.provider=filesystem
            jclouds.filesystem.basedir=%2$s
            jclouds.identity=%1$s
            jclouds.credential=%1$s
            """
                .formatted(KEY, folder.resolve("data")));
    process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-jar",
                Path.of("target/s3/s3proxy.jar").toAbsolutePath().toString(),
                "--properties",
                settings.toString())
            .redirectErrorStream(true)
            .start();
    port = Integer.parseInt(Daemon.ready(process, READY));
  }

  /** Where objects of the bucket lie. */
  Path bucket() {
    return bucket;
  }

  /** spark-submit's options that lead to it. */
  List<String> options() {
    List<String> options = new ArrayList<>();
    for (String setting :
        List.of(
            "endpoint=http://127.0.0.1:" + port,
            "endpoint.region=us-east-1",
            "access.key=" + KEY,
            "secret.key=" + KEY,
            "path.style.access=true",
            "connection.ssl.enabled=false",
            "directory.marker.retention=keep", // batch deletes take this endpoint ten seconds
            "change.detection.version.required=false")) { // files put into the bucket: no ETag
      options.addAll(List.of("--conf", "spark.hadoop.fs.s3a." + setting));
    }
    return options;
  }

  @Override
  public void close() {
    process.destroyForcibly();
  }
}
