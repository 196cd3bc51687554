package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.MiniYARNCluster;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The launcher on a real YARN: a resource manager, and two node managers that start containers. */
class YarnIT {
  private static final Path ADAPTER = Path.of("adapter/adapter_model.safetensors");
  private static final Path EMBEDDED =
      Path.of("../submit/embedded-spark").toAbsolutePath().normalize();

  @TempDir static Path shared;
  @TempDir Path temp;

  private static MiniYARNCluster cluster;
  private static Path conf;
  private static Path home;

  @BeforeAll
  static void open() throws Exception {
    Configuration yarn = new YarnConfiguration();
    yarn.set("yarn.nodemanager.vmem-check-enabled", "false");
    yarn.set("yarn.nodemanager.disk-health-checker.enable", "false");
    yarn.set("yarn.scheduler.capacity.root.queues", "default");
    yarn.set("yarn.scheduler.capacity.root.default.capacity", "100");
    yarn.set("yarn.scheduler.capacity.maximum-am-resource-percent", "1");
    yarn.set("yarn.scheduler.minimum-allocation-mb", "256");
    yarn.set("yarn.resourcemanager.am.max-attempts", "2");
    cluster = new MiniYARNCluster("kindling", 2, 1, 1);
    cluster.init(yarn);
    cluster.start();
    conf = Files.createDirectory(shared.resolve("conf"));
    try (OutputStream out = Files.newOutputStream(conf.resolve("yarn-site.xml"))) {
      cluster.getConfig().writeXml(out);
    }
    home = sparkWithYarn(shared.resolve("spark"));
  }

  /** The embedded Spark and its client of YARN, as an installation has them. */
  private static Path sparkWithYarn(Path folder) throws Exception {
    Path jars = Files.createDirectories(folder.resolve("jars"));
    try (Stream<Path> all = Files.list(EMBEDDED.resolve("target/spark-home/jars"))) {
      for (Path jar : all.toList()) {
        Files.createSymbolicLink(jars.resolve(jar.getFileName()), jar);
      }
    }
    Files.copy(Path.of("target/yarn/spark-yarn.jar"), jars.resolve("spark-yarn.jar"));
    Path bin = Files.createDirectory(folder.resolve("bin"));
    Files.createSymbolicLink(bin.resolve("spark-submit"), EMBEDDED.resolve("spark-submit"));
    return folder;
  }

  @AfterAll
  static void close() throws IOException {
    cluster.close();
  }

  private static Launched kindling(String mode, List<String> job) {
    String java = System.getProperty("java.home");
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--master",
                "yarn",
                "--deploy-mode",
                mode,
                "--num-executors",
                "2",
                "--executor-memory",
                "512m",
                "--driver-memory",
                "512m"));
    for (String setting :
        List.of(
            "spark.executor.memoryOverhead=800m",
            "spark.yarn.jars=local:" + home + "/jars/*",
            "spark.yarn.stagingDir=file:" + shared.resolve("staging"),
            "spark.yarn.appMasterEnv.JAVA_HOME=" + java,
            "spark.executorEnv.JAVA_HOME=" + java,
            "spark.scheduler.minRegisteredResourcesRatio=1",
            "spark.scheduler.maxRegisteredResourcesWaitingTime=180s",
            "spark.ui.enabled=false")) {
      arguments.addAll(List.of("--conf", setting));
    }
    arguments.addAll(job);
    return Launched.kindling(
        arguments,
        Map.of(
            "SPARK_HOME",
            home.toString(),
            "HADOOP_CONF_DIR",
            conf.toString(),
            "JAVA_HOME",
            java,
            "SPARK_LOCAL_IP",
            "127.0.0.1"));
  }

  /** Of a base, data and output that every machine finds by the same names. */
  private static List<String> job(GoldenFolder bert, Path data, Path output) {
    return bert.train(
        Path.of("replaced below"),
        "train.micro-batch-size=1",
        "base.path=file:" + bert.folder(),
        "adapter.init-from=file:" + bert.path("adapter"),
        "data.train=file:" + data,
        "output=file:" + output);
  }

  @Test
  void train_clientMode_givesTheBytesOfOneJvm() {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path one = temp.resolve("one");
    Path two = temp.resolve("two");
    Path data = Path.of(bert.path("data.jsonl"));
    assertThat(InProcess.kindling(1, job(bert, data, one)).code()).isZero();
    Launched run = kindling("client", job(bert, data, two));
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(run.json().get("steps").asInt()).isEqualTo(6);
    assertThat(two.resolve(ADAPTER)).hasSameBinaryContentAs(one.resolve(ADAPTER));
  }

  /** Nobody sees the driver's stdout: what it says there is read from the result folder. */
  @Test
  void train_clusterMode_hasExitCodeMessageAndResultAsIfTheDriverWereHere() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path one = temp.resolve("one");
    Path two = temp.resolve("two");
    Path data = temp.resolve("rows.jsonl");
    Files.writeString(data, "{\"input_ids\":[1,2],\"label\":99}\n");
    Launched bad = kindling("cluster", job(bert, data, two));
    assertThat(bad.code()).as(bad.stderr()).isEqualTo(3);
    assertThat(bad.json().at("/error/messages/0").asText()).contains("rows.jsonl", "99");
    Path failed = two.resolve("_FAILED.json");
    assertThat(new ObjectMapper().readTree(failed.toFile()).at("/error/exitCode").asInt())
        .isEqualTo(3);

    Files.copy(Path.of(bert.path("data.jsonl")), data, StandardCopyOption.REPLACE_EXISTING);
    assertThat(InProcess.kindling(1, job(bert, data, one)).code()).isZero();
    Launched mended = kindling("cluster", job(bert, data, two));
    assertThat(mended.code()).as(mended.stderr()).isZero();
    assertThat(mended.stdout().strip().lines()).hasSize(1);
    assertThat(mended.json().get("steps").asInt()).isEqualTo(6);
    assertThat(two.resolve(ADAPTER)).hasSameBinaryContentAs(one.resolve(ADAPTER));
    assertThat(failed).doesNotExist();
  }

  @Test
  void train_clusterModeAndFilesOfThisMachine_isRefusedBeforeItIsSubmitted() {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Launched run = kindling("cluster", bert.train(temp.resolve("out")));
    assertThat(run.code()).as(run.stderr()).isEqualTo(2);
    assertThat(run.stdout())
        .contains("base.path", "adapter.init-from", "data.train", "output", "hdfs://");
    Launched evaluated = kindling("cluster", List.of("evaluate", "base.path=hdfs:///b"));
    assertThat(evaluated.code()).isEqualTo(2);
    assertThat(evaluated.stdout()).contains("--deploy-mode client");
  }
}
