package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.SecurityManager;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.SparkSubmitArguments;
import org.apache.spark.deploy.k8s.KubernetesDriverConf;
import org.apache.spark.deploy.k8s.KubernetesExecutorConf;
import org.apache.spark.deploy.k8s.SparkPod;
import org.apache.spark.deploy.k8s.submit.JavaMainAppResource;
import org.apache.spark.deploy.k8s.submit.KubernetesDriverBuilder;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.resource.ResourceProfile$;
import org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBuilder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import scala.Option;

/**
 * The pods that {@code submit/kubernetes} asks for, rendered by Spark's own builders: no cluster
 * has seen them.
 */
class KubernetesIT {
  private static final Path HOME = Path.of("..").toAbsolutePath().normalize();

  @TempDir Path temp;

  /** The words that the wrapper hands to spark-submit, by one that writes them down. */
  private List<String> submitted() throws Exception {
    Path bin = Files.createDirectories(temp.resolve("spark/bin"));
    Files.createSymbolicLink(
        temp.resolve("spark/jars"), HOME.resolve("submit/embedded-spark/target/spark-home/jars"));
    Path words = temp.resolve("words");
    Path submit = bin.resolve("spark-submit");
    Files.writeString(submit, "#!/bin/bash\nprintf '%s\\n' \"$@\" >" + words + "\n");
    assertThat(submit.toFile().setExecutable(true)).isTrue();
    ProcessBuilder command =
        new ProcessBuilder(
            HOME.resolve("submit/kubernetes").toString(),
            "k8s://https://kubernetes:6443",
            "--conf",
            "spark.executor.memoryOverhead=6g",
            "train",
            "base.path=hdfs://names/base",
            "data.train=hdfs://names/rows",
            "train.steps=5",
            "output=" + "file:" + temp.resolve("out"));
    command.environment().put("SPARK_HOME", temp.resolve("spark").toString());
    command.environment().remove("HADOOP_CONF_DIR");
    command.redirectErrorStream(true).redirectOutput(temp.resolve("said").toFile());
    int code = command.start().waitFor();
    assertThat(words).as(Files.readString(temp.resolve("said"))).exists();
    assertThat(code).isEqualTo(1); // nobody ran it, so that there is no word of an outcome
    return Files.readAllLines(words);
  }

  @Test
  void submit_wrapper_rendersPodsOfThePlannedSizes() throws Exception {
    SparkSubmitArguments words =
        new SparkSubmitArguments(
            scala.collection.JavaConverters.asScalaBuffer(submitted()).toSeq(),
            scala.collection.immutable.Map$.MODULE$.empty());
    assertThat(words.master()).isEqualTo("k8s://https://kubernetes:6443");
    assertThat(words.deployMode()).isEqualTo("cluster");
    SparkConf conf = new SparkConf(false);
    words.sparkProperties().foreach(entry -> conf.set(entry._1(), entry._2()));
    conf.set("spark.master", words.master());
    conf.set("spark.app.id", "kindling-1");
    List<String> arguments = new ArrayList<>();
    words.childArgs().foreach(arguments::add);

    try (KubernetesClient client = new KubernetesClientBuilder().build()) {
      SparkPod driver =
          new KubernetesDriverBuilder()
              .buildFromFeatures(
                  new KubernetesDriverConf(
                      conf,
                      "kindling-1",
                      new JavaMainAppResource(Option.apply(words.primaryResource())),
                      words.mainClass(),
                      arguments.toArray(new String[0]),
                      Option.empty()),
                  client)
              .pod();
      assertHardened(driver, "kindling-driver");
      assertThat(driver.pod().getSpec().getTerminationGracePeriodSeconds()).isEqualTo(120);
      assertThat(driver.container().getArgs())
          .contains("driver", "dev.kindling.job.cli.Kindling", "--resolved", "--submission")
          .contains("local:///opt/kindling/kindling.jar");
      assertThat(memory(driver.container())).isEqualTo((2048 + 384) * (1L << 20));

      SparkPod executor =
          new KubernetesExecutorBuilder()
              .buildFromFeatures(
                  new KubernetesExecutorConf(
                      conf,
                      "kindling-1",
                      "1",
                      Option.empty(),
                      ResourceProfile.DEFAULT_RESOURCE_PROFILE_ID()),
                  new SecurityManager(
                      conf, Option.empty(), SecurityManager.$lessinit$greater$default$3()),
                  client,
                  ResourceProfile$.MODULE$.getOrCreateDefaultProfile(conf))
              .pod();
      assertHardened(executor, "kindling-executor");
      assertThat(memory(executor.container())).isEqualTo((2048 + 6144) * (1L << 20));
      assertThat(executor.container().getResources().getRequests().get("cpu"))
          .isEqualTo(new Quantity("4"));
      assertThat(environment(executor.container()))
          .containsEntry("OMP_NUM_THREADS", "1")
          .containsEntry("OMP_WAIT_POLICY", "PASSIVE");
    }
  }

  private static void assertHardened(SparkPod pod, String container) {
    Pod whole = pod.pod();
    assertThat(pod.container().getName()).isEqualTo(container);
    assertThat(pod.container().getImage()).isEqualTo("kindling:0.1.0");
    assertThat(whole.getSpec().getSecurityContext().getRunAsNonRoot()).isTrue();
    assertThat(pod.container().getSecurityContext().getCapabilities().getDrop())
        .containsExactly("ALL");
  }

  private static long memory(Container container) {
    return Quantity.getAmountInBytes(container.getResources().getLimits().get("memory"))
        .longValueExact();
  }

  private static Map<String, String> environment(Container container) {
    Map<String, String> environment = new java.util.TreeMap<>();
    for (EnvVar variable : container.getEnv()) {
      environment.put(variable.getName(), String.valueOf(variable.getValue()));
    }
    return environment;
  }
}
