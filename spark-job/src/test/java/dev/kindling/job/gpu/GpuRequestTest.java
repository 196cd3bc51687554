package dev.kindling.job.gpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.job.config.ConfigProblems;
import org.apache.spark.SparkConf;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.resource.TaskResourceProfile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What Spark's settings must say where a run computes on GPUs. */
class GpuRequestTest {
  private static final String EXECUTOR = "spark.executor.resource.gpu.amount=";
  private static final String TASK = "spark.task.resource.gpu.amount=";

  private static SparkConf conf(String master, String... settings) {
    SparkConf conf = new SparkConf(false).set("spark.master", master);
    for (String setting : settings) {
      String[] parts = setting.split("=", 2);
      conf.set(parts[0], parts[1]);
    }
    return conf;
  }

  private static void refused(SparkConf conf, String what) {
    assertThatThrownBy(() -> new GpuRequest(conf).check("cuda"))
        .isInstanceOf(ConfigProblems.class)
        .hasMessageContaining(what);
  }

  @ParameterizedTest
  @ValueSource(strings = {"local[2]", "local[*]", "local[4,1]"})
  void check_severalLocalTasks_refusesToShareTheDevice(String master) {
    refused(conf(master), "its tasks would share one GPU; set --master local[1]");
  }

  @Test
  void check_localTaskThatAsksForAGpu_wouldWaitForEver() {
    refused(conf("local[1]", TASK + "1"), "local[1] hands out no GPUs: leave it out");
  }

  @Test
  void checkCounting_taskThatAsksForAGpu_isRefused() {
    new GpuRequest(conf("local[4]", EXECUTOR + "2")).checkCounting();
    assertThatThrownBy(() -> new GpuRequest(conf("local[4]", TASK + "1")).checkCounting())
        .hasMessageContaining("steps ask for one by themselves");
  }

  @ParameterizedTest
  @ValueSource(strings = {"local", "local[1]", "local[1,4]"})
  void check_oneLocalTask_passes(String master) {
    new GpuRequest(conf(master)).check("cuda");
    assertThat(new GpuRequest(conf(master)).profile()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "0.5,several tasks would share a GPU",
    "2,a task computes on one GPU",
    "half,expected a whole number"
  })
  void check_otherThanOneGpuForATask_isRefusedWithAdvice(String amount, String what) {
    refused(conf("yarn", EXECUTOR + "1", TASK + amount), what);
  }

  @Test
  void check_executorsWithoutGpu_areToldWhatToAdd() {
    refused(conf("spark://head:7077"), "--conf spark.executor.resource.gpu.amount=1");
  }

  @Test
  void check_moreGpusThanTasks_isRefused() {
    refused(conf("yarn", EXECUTOR + "2", "spark.executor.cores=1"), "spark.executor.cores to 2");
    refused(conf("yarn", EXECUTOR + "2"), "cores for 1 task(s)");
    new GpuRequest(conf("spark://head:7077", EXECUTOR + "2")).check("cuda");
    refused(conf("yarn", EXECUTOR + "0"), "at least 1");
    refused(conf("yarn", EXECUTOR + "1.5"), "a whole number");
  }

  @Test
  void check_severalGpusWithNd4j_areRefused() {
    SparkConf two = conf("spark://head:7077", EXECUTOR + "2");
    assertThatThrownBy(() -> new GpuRequest(two).check("nd4j-cuda"))
        .hasMessageContaining("ND4J keeps a device for each thread");
    new GpuRequest(conf("spark://head:7077", EXECUTOR + "1")).check("nd4j-cuda");
  }

  @Test
  void profile_clusterThatTellsStagesApart_asksForStepsOnly() {
    GpuRequest request = new GpuRequest(conf("local-cluster[1,2,1024]", EXECUTOR + "1"));
    request.check("cuda");
    ResourceProfile profile = request.profile().orElseThrow();
    assertThat(profile).isInstanceOf(TaskResourceProfile.class);
    assertThat(profile.taskResourcesJMap().get("gpu").amount()).isEqualTo(1);
  }

  @Test
  void profile_everyTaskAsksForOne_needsNoneOfItsOwn() {
    assertThat(new GpuRequest(conf("yarn", EXECUTOR + "1", TASK + "1")).profile()).isEmpty();
    refused(conf("mesos://head:5050", EXECUTOR + "1"), "cannot ask for GPUs by the stage");
  }

  /** Reading and shuffling then run on executors without GPUs. */
  @Test
  void profile_dynamicAllocation_bringsExecutorsOfItsOwn() {
    GpuRequest request =
        new GpuRequest(
            conf(
                "yarn",
                "spark.dynamicAllocation.enabled=true",
                "spark.executor.cores=3",
                "spark.task.cpus=3",
                "spark.kindling.gpu.discoveryScript=/opt/getGpus.sh"));
    request.check("cuda");
    ResourceProfile profile = request.profile().orElseThrow();
    assertThat(profile).isNotInstanceOf(TaskResourceProfile.class);
    var gpu = profile.executorResourcesJMap().get("gpu");
    assertThat(gpu.amount()).isEqualTo(1);
    assertThat(gpu.discoveryScript()).isEqualTo("/opt/getGpus.sh");
    assertThat(profile.executorResourcesJMap().get("cores").amount()).isEqualTo(3);
    assertThat(profile.taskResourcesJMap().get("cpus").amount()).isEqualTo(3);
  }
}
