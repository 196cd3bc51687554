package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.export.PeftAdapter;
import dev.kindling.job.cli.InProcess;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.model.Golden;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Averages of pairs whose products lose nothing: the base takes up the rest. */
class FedExTest {
  private static final String[] FEDEX = {"sync.mode=averaging", "sync.exactness=fedex"};

  @TempDir Path temp;

  private InProcess train(GoldenFolder golden, Path output, String... more) {
    String[] all = Arrays.copyOf(FEDEX, FEDEX.length + more.length);
    System.arraycopy(more, 0, all, FEDEX.length, more.length);
    InProcess run = kindling(2, golden.train(output, all));
    assertThat(run.code()).as(run.stdout()).isZero();
    return run;
  }

  /**
   * What the exported adapter does to the base as it was, s·B·A of each pair, is what the emulation
   * has added to the base and what its pairs do. Weights stored turned are among them.
   */
  @ParameterizedTest
  @CsvSource({"bert,3,2", "gpt2,2,3", "llama-gqa,4,1"})
  void train_severalWorkers_equalsAPlainEmulation(String name, int workers, int frequency) {
    GoldenFolder folder = GoldenFolder.copy(name, temp);
    Golden golden = new Golden(folder.folder());
    Path output = temp.resolve("output");
    train(
        folder,
        output,
        "sync.workers=" + workers,
        "sync.averaging-frequency=" + frequency,
        "train.micro-batch-size=" + golden.batchSize());
    PlainAveraging.End end = PlainAveraging.withResiduals(golden, workers, frequency);
    PeftAdapter exported = PeftAdapter.open(output.resolve("adapter"));
    AdapterLayout layout = exported.layout(golden.plan.linears(), 0);
    int averagings = (golden.steps() + frequency - 1) / frequency;
    int r = golden.layout.settings().r();
    assertThat(layout.settings().r()).isEqualTo(r + averagings * r * (workers - 1));
    float[] values = exported.values(layout);
    double largest = 0;
    for (LinearModule m : golden.plan.linears()) {
      if (golden.layout.find(m.name(), Role.A).isEmpty()) {
        continue;
      }
      double[] moved = end.moved().get(m.weight());
      for (int i = 0; i < m.out(); i++) {
        for (int j = 0; j < m.in(); j++) {
          double rest = moved[m.turned() ? j * m.out() + i : i * m.in() + j];
          double expected = product(golden.layout, m, i, j, at -> end.theta()[at]) + rest;
          assertThat(product(layout, m, i, j, at -> values[at]))
              .as(m.name())
              .isCloseTo(expected, offset(1e-5));
          largest = Math.max(largest, Math.abs(rest));
        }
      }
    }
    assertThat(largest).as("what averages leave out").isGreaterThan(1e-4);
  }

  private interface Values {
    double at(int index);
  }

  /** s·B·A at [i, j]. */
  private static double product(
      AdapterLayout layout, LinearModule module, int i, int j, Values values) {
    int a = layout.find(module.name(), Role.A).orElseThrow().offset();
    int b = layout.find(module.name(), Role.B).orElseThrow().offset();
    int r = layout.settings().r();
    double sum = 0;
    for (int k = 0; k < r; k++) {
      sum += values.at(b + i * r + k) * values.at(a + k * module.in() + j);
    }
    return layout.settings().scale() * sum;
  }

  /** On the untouched base the exported adapter has the loss that training ended with. */
  @ParameterizedTest
  @CsvSource({"bert,average", "gpt2,average", "llama-table-saved-head,nesterov"})
  void evaluate_exportedAdapter_hasTheLossOfTraining(String name, String outer) throws IOException {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    Path output = temp.resolve("output");
    String held = "data.validation=" + golden.path("data.jsonl");
    InProcess trained =
        train(
            golden,
            output,
            "sync.workers=3",
            "sync.averaging-frequency=2",
            "sync.outer=" + outer,
            held);
    InProcess evaluated = kindling(1, golden.evaluate(output));
    assertThat(evaluated.code()).as(evaluated.stdout()).isZero();
    double after = loss(trained.stdout(), "/validation/loss");
    assertThat(loss(evaluated.stdout(), "/loss")).isCloseTo(after, offset(1e-5));
  }

  private static double loss(String stdout, String at) throws IOException {
    JsonNode node = new ObjectMapper().readTree(stdout).at(at);
    assertThat(node.isNumber()).as(stdout).isTrue();
    return node.asDouble();
  }

  /** One worker leaves nothing out. */
  @Test
  void train_oneWorker_isTheAverage() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path with = temp.resolve("with");
    Path without = temp.resolve("without");
    String[] one = {"sync.workers=1", "sync.averaging-frequency=2"};
    train(golden, with, one);
    assertThat(kindling(1, golden.train(without, "sync.mode=averaging", one[0], one[1])).code())
        .isZero();
    String adapter = "adapter/adapter_model.safetensors";
    assertThat(with.resolve(adapter)).hasSameBinaryContentAs(without.resolve(adapter));
  }

  /** A tied head reads the table that its change would be added to. */
  @Test
  void train_pairOnATiedWeight_isRefusedByName() {
    GoldenFolder golden = GoldenFolder.copy("gpt2-table-head", temp);
    List<String> arguments = new ArrayList<>(golden.train(temp.resolve("never"), FEDEX));
    arguments.add("sync.workers=2");
    InProcess refused = kindling(1, arguments);
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains("wte", "lm_head", "adapter.target-modules");
  }

  /** A change that is not what was written is not added: the run goes further back. */
  @Test
  void train_damagedChange_goesFurtherBackToTheSameBytes() throws IOException {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    String[] settings = {
      FEDEX[0],
      FEDEX[1],
      "sync.workers=2",
      "sync.averaging-frequency=1",
      "train.steps=8",
      "checkpoint.every-steps=2"
    };
    Path whole = temp.resolve("whole");
    assertThat(kindling(2, golden.train(whole, settings)).code()).isZero();
    Path output = temp.resolve("output");
    List<String> train = golden.train(output, settings);
    System.setProperty("spark.extraListeners", StopAtStep.class.getName());
    try {
      assertThat(kindling(2, train, StopAtStep.at(7)).code()).isEqualTo(10);
    } finally {
      System.clearProperty("spark.extraListeners");
    }
    List<Path> changes;
    try (Stream<Path> files = Files.list(output.resolve("checkpoints/changes"))) {
      changes = files.filter(file -> file.toString().endsWith(".safetensors")).sorted().toList();
    }
    assertThat(changes).hasSizeGreaterThan(4);
    Path newest = changes.get(changes.size() - 1);
    byte[] bytes = Files.readAllBytes(newest);
    bytes[bytes.length - 1] ^= 1;
    Files.write(newest, bytes);
    Files.deleteIfExists(newest.resolveSibling("." + newest.getFileName() + ".crc"));
    assertThat(kindling(1, List.of("verify", output.toString())).stdout()).contains("damaged");
    assertThat(kindling(2, train).code()).isZero();
    String adapter = "adapter/adapter_model.safetensors";
    assertThat(output.resolve(adapter)).hasSameBinaryContentAs(whole.resolve(adapter));
    assertThat(GoldenFolder.losses(output)).isEqualTo(GoldenFolder.losses(whole)).hasSize(8);
  }

  /** More than an adapter can have is said before the first step, not after the last. */
  @Test
  void train_moreThanAnAdapterCanHold_isRefusedAtOnce() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    List<String> arguments = new ArrayList<>(golden.train(temp.resolve("never"), FEDEX));
    arguments.addAll(
        List.of("sync.workers=2", "sync.averaging-frequency=1", "train.steps=1000000000"));
    InProcess refused = kindling(1, arguments);
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains("1,000,000,000 averagings", "at most 250,000,000");
  }
}
