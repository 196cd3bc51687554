package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.data.LanguageText;
import dev.kindling.data.TextTokenizer;
import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Text of every kind through the whole job, on a tiny Llama with random weights. */
class LanguageModelTest {
  private static final List<String> SPEECHES =
      List.of(
          "When shall we three meet againe?\nIn Thunder, Lightning, or in Raine?",
          "What bloody man is that?",
          "So well thy words become thee, as thy wounds,\nThey smack of Honor both",
          "Who comes here?",
          "The worthy Thane of Rosse",
          "What a haste lookes through his eyes?\nSo should he looke, that seemes to speake",
          "God saue the King");

  @TempDir Path temp;
  private Path base;

  /** The golden bf16 Llama's shape, with as many rows as the tokenizer has tokens. */
  @BeforeEach
  void llama() throws IOException {
    base = Files.createDirectory(temp.resolve("base"));
    ObjectNode config =
        (ObjectNode)
            new ObjectMapper()
                .readTree(
                    GoldenFolder.copy("llama-gqa", temp).folder().resolve("config.json").toFile());
    try (InputStream in = getClass().getResourceAsStream("/tokenizer/byte-level.json")) {
      Files.write(base.resolve("tokenizer.json"), in.readAllBytes());
    }
    config.put("vocab_size", 4096);
    config.put("max_position_embeddings", 64);
    config.put("eos_token_id", 0);
    Files.writeString(base.resolve("config.json"), config.toString());
    RandomWeights.write(base, 7);
  }

  private Path file(String name, List<String> lines) throws IOException {
    Path file = temp.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.write(file, lines);
  }

  private static String json(String... keysAndValues) {
    ObjectNode node = new ObjectMapper().createObjectNode();
    for (int i = 0; i < keysAndValues.length; i += 2) {
      node.put(keysAndValues[i], keysAndValues[i + 1]);
    }
    return node.toString();
  }

  private Path jsonl() throws IOException {
    return file("rows.jsonl", SPEECHES.stream().map(s -> json("text", s)).toList());
  }

  private InProcess train(Path data, Path output, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                "base.path=" + base,
                "data.train=" + data,
                "data.shuffle=false",
                "train.steps=5",
                "train.global-batch-size=6",
                "train.micro-batch-size=2",
                "optimizer.learning-rate=0.01",
                "output=" + output));
    arguments.addAll(List.of(more));
    InProcess run = kindling(2, arguments);
    assertThat(run.code()).as(run.stdout()).isZero();
    return run;
  }

  private List<Double> losses(Path data, String... more) {
    Path output = temp.resolve("out-" + System.nanoTime());
    train(data, output, more);
    return GoldenFolder.losses(output);
  }

  private static void same(List<Double> found, List<Double> expected) {
    assertThat(found).hasSameSizeAs(expected);
    for (int i = 0; i < found.size(); i++) {
      assertThat(found.get(i)).isCloseTo(expected.get(i), offset(1e-5));
    }
  }

  @Test
  void train_jsonlCsvAndPlainText_areTheSameExamples() throws IOException {
    List<Double> expected = losses(jsonl());
    List<String> csv = new ArrayList<>(List.of("n,speech"));
    SPEECHES.forEach(s -> csv.add("1,\"" + s + "\""));
    assertThat(losses(file("rows.csv", csv), "data.text-column=speech")).isEqualTo(expected);
    assertThat(losses(file("rows.txt", List.of(String.join("\n\n", SPEECHES)))))
        .isEqualTo(expected);
    assertThat(
            losses(
                file("one.jsonl", List.of(json("text", String.join("\n \n", SPEECHES)))),
                "data.split=blank-line"))
        .isEqualTo(expected);
  }

  /** What the job makes of a prompt and its completion is what tokens with those labels are. */
  @Test
  void train_promptCompletion_equalsTokensWithTheirLabels() throws IOException {
    List<String> rows = new ArrayList<>();
    List<String> tokens = new ArrayList<>();
    try (TextTokenizer tokenizer =
        TextTokenizer.open(Files.readAllBytes(base.resolve("tokenizer.json")))) {
      LanguageText language = new LanguageText(tokenizer, OptionalInt.of(0), 64);
      for (int i = 0; i + 1 < SPEECHES.size(); i++) {
        String completion = "\n" + SPEECHES.get(i + 1);
        rows.add(json("prompt", SPEECHES.get(i), "completion", completion));
        var piece = language.promptCompletion(SPEECHES.get(i), completion);
        ObjectNode row = new ObjectMapper().createObjectNode();
        row.set("input_ids", new ObjectMapper().valueToTree(piece.ids()));
        row.set("labels", new ObjectMapper().valueToTree(piece.labels()));
        tokens.add(row.toString());
      }
    }
    List<Double> expected = losses(file("tokens.jsonl", tokens));
    assertThat(losses(file("prompts.jsonl", rows))).isEqualTo(expected);
    assertThat(losses(file("rows.jsonl", rows), "data.format=prompt-completion"))
        .isEqualTo(expected);
  }

  /** Rows of several examples: the batches, losses and trained adapter of one in each row. */
  @ParameterizedTest
  @CsvSource({"64,1", "64,2", "30,1", "40,3"})
  void packing_anyRoom_hasTheSameLosses(int maxLength, int rows) throws IOException {
    String[] plain = {"data.max-length=" + maxLength, "adapter.dropout=0.3", "train.seed=3"};
    List<Double> expected = losses(jsonl(), plain);
    Path output = temp.resolve("packed");
    InProcess run =
        train(
            jsonl(),
            output,
            plain[0],
            plain[1],
            plain[2],
            "data.packing=true",
            "train.micro-batch-size=" + rows);
    same(GoldenFolder.losses(output), expected);
    if (rows == 1) { // up to a multiple of 16 tokens
      assertThat(run.json().at("/padding").asDouble()).isBetween(0.0, 0.12);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"train.recompute=block", "base.storage=as-stored"})
  void memorySettings_any_changeNoLoss(String setting) throws IOException {
    List<Double> expected = losses(jsonl(), "adapter.dropout=0.2");
    same(losses(jsonl(), "adapter.dropout=0.2", setting), expected);
  }

  /** Half the bytes of the matrices, and activations of one block rather than two. */
  @Test
  void memoryPlan_smallerSettings_planLessAndAreMeasured() throws IOException {
    JsonNode plain = memory("plain");
    JsonNode halves = memory("halves", "base.storage=as-stored");
    JsonNode recomputed = memory("recomputed", "train.recompute=block");
    assertThat(halves.at("/planned/base").asDouble())
        .isCloseTo(plain.at("/planned/base").asDouble() / 2, offset(2000.0)); // norms stay fp32
    assertThat(recomputed.at("/planned/activations").asLong())
        .isLessThan(plain.at("/planned/activations").asLong() * 3 / 4);
    assertThat(recomputed.at("/planned/base")).isEqualTo(plain.at("/planned/base"));
  }

  private JsonNode memory(String name, String... more) throws IOException {
    Path output = temp.resolve(name);
    train(jsonl(), output, more);
    return new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile()).get("memory");
  }

  @Test
  void windows_longText_losesNothingAndCountsNothingCut() throws IOException {
    String text = String.join("\n\n", SPEECHES);
    Path output = temp.resolve("windows");
    train(file("play.txt", List.of(text)), output, "data.split=window", "data.max-length=16");
    JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
    assertThat(manifest.get("truncated").asInt()).isZero();
    assertThat(manifest.get("examples").asInt()).isGreaterThan(6);
    Path cut = temp.resolve("cut");
    train(jsonl(), cut, "data.max-length=16");
    assertThat(
            new ObjectMapper().readTree(cut.resolve("_SUCCESS").toFile()).get("truncated").asInt())
        .isBetween(1, 7);
  }

  /** Rows without examples count as rows; prompts that leave no room for an answer are counted. */
  @Test
  void rows_thatTeachNothing_areCountedAndKeepTheirNumbers() throws IOException {
    Path bad =
        file(
            "bad.jsonl",
            List.of(json("text", " "), json("text", "Enter"), json("text", ""), "{\"label\": 1}"));
    InProcess run =
        kindling(
            "train",
            "base.path=" + base,
            "data.train=" + bad,
            "data.split=blank-line",
            "train.steps=1",
            "output=" + temp.resolve("none"));
    assertThat(run.messages()).contains("bad.jsonl, row 4", "has no text");

    Path output = temp.resolve("full");
    train(
        file(
            "full.jsonl",
            List.of(
                json("prompt", "word ".repeat(70), "completion", "lost"),
                json("prompt", "Who", "completion", " comes here?"))),
        output);
    JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
    assertThat(manifest.get("withoutTarget").asInt()).isEqualTo(1);
    assertThat(manifest.get("truncated").asInt()).isEqualTo(1);
  }

  /** With packing one micro-batch holds the whole batch: the other task has nothing to send. */
  @Test
  void packing_fewerMicroBatchesThanTasks_sendsOneSumOnly() throws IOException {
    long both = train(jsonl(), temp.resolve("two")).json().at("/bytesUp").asLong();
    long one =
        train(
                jsonl(),
                temp.resolve("one"),
                "data.packing=true",
                "train.micro-batch-size=6",
                "train.global-batch-size=12")
            .json()
            .at("/bytesUp")
            .asLong();
    assertThat(one).isLessThan(both * 6 / 10);
  }

  /**
   * A batch's examples meet those of like length, so less is padded than in the order they come.
   */
  @Test
  void padding_manyLengths_isSmallAndReported() throws IOException {
    Random random = new Random(5);
    List<String> rows = new ArrayList<>();
    for (int i = 0; i < 60; i++) {
      List<Integer> ids = random.ints(1 + random.nextInt(40), 3, 4096).boxed().toList();
      rows.add("{\"input_ids\": " + ids + "}");
    }
    Path output = temp.resolve("padded");
    InProcess run =
        train(file("many.jsonl", rows), output, "train.steps=2", "train.global-batch-size=30");
    assertThat(run.json().at("/padding").asDouble()).isBetween(0.001, 0.12);
    JsonNode line =
        new ObjectMapper().readTree(Files.readAllLines(output.resolve("metrics.jsonl")).get(0));
    assertThat(line.get("padding").asDouble()).isBetween(0.0, 0.12);
  }

  /**
   * Whatever stands beside the base, and however the base is kept: notes and PEFT's flags say it.
   */
  @ParameterizedTest
  @CsvSource({"lora, fp32", "dora, nf4"})
  void generate_afterTraining_saysWhatItLearned(String method, String storage) throws IOException {
    Path output = temp.resolve("learned");
    train(
        file("one.jsonl", List.of(json("prompt", "Who comes here?", "completion", " The Thane"))),
        output,
        "method=" + method,
        "base.storage=" + storage,
        "train.steps=100",
        "train.global-batch-size=1",
        "adapter.target-modules=all-linear",
        "optimizer.learning-rate=0.01");
    String[] generate = {
      "generate",
      "base.path=" + base,
      "adapter.init-from=" + output.resolve("adapter"),
      "prompt=Who comes here?"
    };
    InProcess run = kindling(generate);
    assertThat(run.json().at("/text").asText()).as(run.stdout()).isEqualTo(" The Thane");
    assertThat(run.json().at("/stop").asText()).isEqualTo("end");
  }

  /** A tied model: the table and the head are two targets, or two modules trained in full. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "adapter.target-modules=[embed_tokens, lm_head, q_proj]; adapter.r=3",
        "adapter.modules-to-save=[embed_tokens, lm_head]; adapter.r=2"
      })
  void train_tablesAndHead_evaluatesTheSameFromTheAdapter(String targets, String more)
      throws IOException {
    Path output = temp.resolve("tables");
    InProcess run =
        train(jsonl(), output, targets, more, "data.validation=" + jsonl(), "train.steps=3");
    assertThat(run.json().at("/validation/loss").asDouble())
        .isLessThan(run.json().at("/before/loss").asDouble());
    InProcess again =
        kindling(
            "evaluate",
            "base.path=" + base,
            "adapter.init-from=" + output.resolve("adapter"),
            "data.validation=" + jsonl());
    assertThat(again.json().at("/loss").asDouble())
        .isCloseTo(run.json().at("/validation/loss").asDouble(), offset(1e-6));
    assertThat(
            kindling(
                    "generate",
                    "base.path=" + base,
                    "adapter.init-from=" + output.resolve("adapter"),
                    "prompt=Who",
                    "max-tokens=3")
                .code())
        .isZero();
  }

  @Test
  void generate_sampling_isAFunctionOfTheSeed() {
    assertThat(sampled(1)).isEqualTo(sampled(1)).isNotEqualTo(sampled(2));
  }

  private String sampled(int seed) {
    InProcess run =
        kindling(
            "generate",
            "base.path=" + base,
            "prompt=Enter",
            "max-tokens=12",
            "temperature=1.5",
            "top-p=0.95",
            "seed=" + seed);
    assertThat(run.json().at("/tokens").asInt()).as(run.stdout()).isPositive();
    return run.json().at("/text").asText();
  }

  @Test
  void generate_whatCannotBe_isSaidByKey() {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    InProcess classifier = kindling("generate", "base.path=" + bert.folder(), "prompt=a");
    assertThat(classifier.code()).isEqualTo(2);
    assertThat(classifier.messages()).contains("is a classifier");
    InProcess silent = kindling("generate", "base.path=" + base, "top-p=0");
    assertThat(silent.messages()).contains("prompt is missing", "top-p is 0");
    InProcess endless = kindling("generate", "base.path=" + base, "prompt=" + "word ".repeat(99));
    assertThat(endless.code()).isEqualTo(2);
    assertThat(endless.messages()).contains("the base takes 1 to 63");
  }
}
