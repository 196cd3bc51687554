package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import dev.kindling.lora.LinearModule;
import dev.kindling.model.load.Families;
import dev.kindling.tensor.onednn.InstructionSet;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** An adapter that learned beside codes of its base, and everything that goes on with it. */
class QloraTest {
  @TempDir Path temp;

  private static List<String> train(GoldenFolder golden, Path output, String... more) {
    List<String> arguments = new ArrayList<>(golden.train(output));
    arguments.removeIf(a -> a.startsWith("adapter.init-from"));
    arguments.addAll(
        List.of("adapter.r=4", "data.validation=" + golden.path("data.jsonl"), "train.seed=3"));
    arguments.addAll(List.of(more));
    return arguments;
  }

  private static InProcess done(List<String> arguments, String... more) {
    List<String> all = new ArrayList<>(arguments);
    all.addAll(List.of(more));
    InProcess run = kindling(2, all);
    assertThat(run.code()).as(run.stdout()).isZero();
    return run;
  }

  private static double loss(JsonNode node, String at) {
    return node.at(at).asDouble();
  }

  private static JsonNode json(Path file) {
    try {
      return new ObjectMapper().readTree(file.toFile());
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Of a base whose matrices are not tiny: 4 bits, an eighth and what scales of scales take. */
  @Test
  void explain_qlora_keepsMatricesInFourBits() throws IOException {
    Path base = Path.of("../examples/tiny-llama").toAbsolutePath();
    Path data = Files.writeString(temp.resolve("rows.jsonl"), "{\"input_ids\":[1,2,3,4]}\n");
    List<String> explain =
        List.of("explain", "base.path=" + base, "data.train=" + data, "train.steps=1");
    double stored = done(explain, "base.storage=as-stored").json().at("/memory/base").asDouble();
    double coded = done(explain, "method=qlora").json().at("/memory/base").asDouble();
    double matrices =
        Families.plan(json(base.resolve("config.json")), 1).linears().stream()
            .filter(m -> m.kind() == LinearModule.Kind.BLOCK)
            .mapToDouble(m -> (double) m.in() * m.out())
            .sum();
    double bits = 16 - 8 * (stored - coded) / matrices;
    assertThat(bits).isBetween(4.12, 4.2);
  }

  /** The base that it is compared with is the one that LoRA begins with. */
  @ParameterizedTest
  @CsvSource({
    "bert,nf4,nd4j,fp32,flops",
    "gpt2,nf4,onednn,fp32,measured",
    "llama-gqa,int8,onednn,fp32,fixed:f2b5",
    "llama-gqa,nf4,onednn,bf16,flops",
    "gpt2,nf4,nd4j,fp32,fixed:f2b4"
  })
  void train_codedBase_tellsItsGapAndExportsHowItWasKept(
      String family, String storage, String backend, String precision, String plans) {
    assumeTrue(precision.equals("fp32") || InstructionSet.multipliesBf16());
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    String[] compute = {
      "compute.backend=" + backend, "train.precision=" + precision, "plan.chooser=" + plans
    };
    JsonNode plain = done(train(golden, temp.resolve("plain"), compute)).json();
    Path output = temp.resolve("coded");
    JsonNode coded = done(train(golden, output, compute), "base.storage=" + storage).json();
    assertThat(loss(coded, "/before/uncoded/loss"))
        .isEqualTo(loss(plain, "/before/loss"))
        .isNotEqualTo(loss(coded, "/before/loss"));
    assertThat(json(output.resolve("adapter/kindling.json")).get("baseStorage").asText())
        .isEqualTo(storage);
    JsonNode manifest = json(output.resolve("_SUCCESS"));
    assertThat(manifest.get("baseStorage").asText()).isEqualTo(storage);
    assertThat(manifest.at("/memory/planned/base").asLong())
        .isLessThan(json(temp.resolve("plain/_SUCCESS")).at("/memory/planned/base").asLong());
    assertThat(loss(manifest, "/memory/measured/executor"))
        .isLessThanOrEqualTo(loss(manifest, "/memory/planned/executor"));

    List<String> evaluate = new ArrayList<>(golden.evaluate(output));
    evaluate.addAll(List.of(compute[0], compute[1]));
    assertThat(loss(done(evaluate).json(), "/loss"))
        .isCloseTo(loss(coded, "/validation/loss"), offset(1e-4));
    assertThat(loss(done(evaluate, "base.storage=fp32").json(), "/loss"))
        .isNotCloseTo(loss(coded, "/validation/loss"), offset(1e-5));
  }

  /** Lengths begin as those of the rows that codes stand for: the model is the coded base. */
  @ParameterizedTest
  @CsvSource({"bert,nf4", "gpt2,nf4", "llama-gqa,int8"})
  void train_doraBesideCodes_beginsAsTheCodedBase(String family, String storage) {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    String[] coded = {"base.storage=" + storage, "train.steps=1"};
    JsonNode lora = done(train(golden, temp.resolve("lora"), coded)).json();
    JsonNode dora = done(train(golden, temp.resolve("dora"), coded), "method=dora").json();
    assertThat(loss(dora, "/before/loss")).isCloseTo(loss(lora, "/before/loss"), offset(1e-6));
  }

  /** Whoever goes on from such an adapter has the base that it knows, unless told otherwise. */
  @Test
  void train_fromAnAdapterBesideCodes_goesOnBesideThem() {
    GoldenFolder golden = GoldenFolder.copy("llama-gqa", temp);
    Path first = temp.resolve("first");
    JsonNode begun = done(train(golden, first, "method=qlora")).json();
    String from = "adapter.init-from=" + first.resolve("adapter");
    List<String> on = train(golden, temp.resolve("second"), from);
    on.removeIf(a -> a.startsWith("adapter.r="));
    JsonNode second = done(on).json();
    assertThat(loss(second, "/before/loss"))
        .isCloseTo(loss(begun, "/validation/loss"), offset(1e-6));
    assertThat(json(temp.resolve("second/_SUCCESS")).get("baseStorage").asText()).isEqualTo("nf4");

    List<String> never = new ArrayList<>(on);
    never.addAll(List.of("output=" + temp.resolve("never"), "merge.links=2"));
    InProcess refused = kindling(1, never);
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages())
        .contains("base.storage = nf4: merge.links = 2 adds to the frozen weights");

    List<String> full = new ArrayList<>(on);
    full.addAll(List.of("output=" + temp.resolve("full"), "base.storage=fp32"));
    assertThat(loss(done(full).json(), "/before/loss"))
        .isNotCloseTo(loss(begun, "/validation/loss"), offset(1e-5));
    assertThat(json(temp.resolve("full/adapter/kindling.json")).has("baseStorage")).isFalse();
  }

  /** A rank cut out still says beside what it learned. */
  @Test
  void export_rankOfANestedAdapterBesideCodes_keepsTheNote() {
    GoldenFolder golden = GoldenFolder.copy("gpt2", temp);
    Path output = temp.resolve("output");
    JsonNode trained =
        done(train(golden, output, "method=dylora", "base.storage=int8", "train.steps=2")).json();
    Path cut = temp.resolve("run/adapter");
    done(
        List.of(
            "export",
            "base.path=" + golden.folder(),
            "adapter.init-from=" + output.resolve("adapter"),
            "rank=2",
            "to=" + cut));
    assertThat(json(cut.resolve("kindling.json")).get("baseStorage").asText()).isEqualTo("int8");
    assertThat(loss(done(golden.evaluate(temp.resolve("run"))).json(), "/loss"))
        .isCloseTo(loss(trained, "/ranks/1/loss"), offset(1e-5));
  }

  @Test
  void open_notesOfAnUnknownStorage_areRefused() throws IOException {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Files.writeString(
        golden.folder().resolve("adapter/kindling.json"), "{\"baseStorage\": \"nf3\"}");
    InProcess refused = kindling(1, golden.train(temp.resolve("never")));
    assertThat(refused.code()).isNotZero();
    assertThat(refused.messages()).contains("baseStorage is nf3").contains("nf4 or int8");
  }
}
