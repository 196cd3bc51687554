package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a user reads, and which exit code a scheduler sees, when something is wrong. */
class BadInputTest {
  @TempDir Path temp;
  private GoldenFolder bert;
  private Path output;

  @BeforeEach
  void copy() {
    bert = GoldenFolder.copy("bert", temp);
    output = temp.resolve("out");
  }

  /** Whatever went wrong came before step 1. */
  @AfterEach
  void output_afterAFailure_isAsItWas() {
    assertThat(output).doesNotExist();
  }

  private void fails(int code, List<String> arguments, String... said) {
    InProcess run = kindling(2, arguments);
    assertThat(run.code()).as(run.stdout()).isEqualTo(code);
    assertThat(run.stdout().strip().lines()).hasSize(1);
    assertThat(run.json().at("/error/exitCode").asInt()).isEqualTo(code);
    assertThat(run.messages()).contains(said).doesNotContain("Exception", "\tat ");
  }

  private List<String> train(String... more) {
    return bert.train(output, more);
  }

  private Path rows(String name, String... lines) throws IOException {
    return Files.write(temp.resolve(name), List.of(lines));
  }

  @Test
  void base_missingFolder_isInputError() {
    fails(
        3,
        train("base.path=" + temp.resolve("nowhere")),
        "base.path",
        "nowhere",
        "is not a folder");
  }

  @Test
  void base_truncatedWeights_isInputError() throws IOException {
    Path weights = bert.folder().resolve("model.safetensors");
    try (RandomAccessFile file = new RandomAccessFile(weights.toFile(), "rw")) {
      file.setLength(file.length() - 100);
    }
    fails(3, train(), weights.toString(), "@ byte", "truncated");
  }

  @Test
  void base_wrongShape_isInputError() throws IOException {
    edit("config.json", "\"intermediate_size\": 64", "\"intermediate_size\": 48");
    fails(3, train(), "intermediate.dense.weight", "has shape [64, 32]", "expected [48, 32]");
  }

  @Test
  void base_unknownModelType_isInputError() throws IOException {
    edit("config.json", "\"model_type\": \"bert\"", "\"model_type\": \"mamba\"");
    fails(3, train(), "model_type 'mamba' is not supported", "bert, gpt2, llama");
  }

  @Test
  void base_unsupportedVariant_isInputError() throws IOException {
    edit("config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"swish\"");
    fails(3, train(), "hidden_act 'swish' is not supported");
  }

  @Test
  void base_tokenClassifier_isInputError() throws IOException {
    edit("config.json", "BertForSequenceClassification", "BertForTokenClassification");
    fails(3, train(), "architectures name BertForTokenClassification");
  }

  @Test
  void base_nanWeight_isInputErrorNamingTheElement() throws IOException {
    Path weights = bert.folder().resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(bytes.length - 8, Float.NaN);
    Files.write(weights, bytes);
    fails(3, train(), "is NaN or infinite", "element");
  }

  private void edit(String name, String from, String to) throws IOException {
    Path file = bert.folder().resolve(name);
    String text = Files.readString(file);
    assertThat(text).contains(from);
    Files.writeString(file, text.replace(from, to));
  }

  @Test
  void config_unknownKeyAndMore_areConfigErrorsAllAtOnce() {
    fails(
        2,
        train("adapter.rnak=3", "optimizer.learning-rate=-1", "train.epochs=1"),
        "adapter.rnak: no such key; did you mean adapter.r?",
        "optimizer.learning-rate is -1.0: expected a number above 0",
        "set exactly one of train.steps and train.epochs");
  }

  @Test
  void config_missingFile_isConfigError() {
    fails(
        2, List.of("train", temp.resolve("no.conf").toString()), "there is no such configuration");
  }

  @Test
  void command_unknown_isConfigError() {
    fails(2, List.of("trian"), "'trian' is no command");
    fails(2, List.of("train", "--no-such-option"), "--no-such-option");
  }

  @Test
  void targets_matchNothing_isConfigErrorNamingNearOnes() {
    List<String> fresh = new ArrayList<>(train("adapter.target-modules=[q_proj]"));
    fresh.removeIf(a -> a.startsWith("adapter.init-from"));
    fails(
        2,
        fresh,
        "'q_proj' matches no linear layer",
        "there are query, key, value, output.dense, intermediate.dense");
  }

  @Test
  void adapter_keyThatDiffers_isConfigError() {
    fails(
        2,
        train("adapter.r=16", "adapter.alpha=3"),
        "adapter.r is 16, but adapter.init-from says 4",
        "adapter.alpha is 3.0, but adapter.init-from says 8.0");
    assertThat(kindling(2, train("adapter.r=4", "train.steps=0")).messages())
        .doesNotContain("init-from");
  }

  @Test
  void adapter_unsupportedFlag_isInputErrorNamingIt() throws IOException {
    edit("adapter/adapter_config.json", "\"bias\": \"none\"", "\"bias\": \"all\"");
    fails(3, train(), "bias = all", "not supported yet");
  }

  /** A flag that promises tensors, and a file without them. */
  @Test
  void adapter_magnitudesThatAreNotThere_areNamed() throws IOException {
    edit("adapter/adapter_config.json", "\"use_dora\": false", "\"use_dora\": true");
    fails(3, train(), "lacks [", "query.lora_magnitude_vector", "must belong together");
  }

  @Test
  void maxLength_abovePositions_isConfigError() {
    fails(2, train("data.max-length=65"), "data.max-length is 65", "holds 64");
  }

  @Test
  void data_missing_isInputError() {
    fails(3, train("data.train=" + temp.resolve("no.jsonl")), "data.train", "does not exist");
  }

  @Test
  void data_empty_isInputError() throws IOException {
    fails(3, train("data.train=" + rows("empty.jsonl")), "data.train", "holds no rows");
  }

  @Test
  void data_tokensTooLong_isInputErrorNamingTheRow() throws IOException {
    String ids = "[5" + ", 5".repeat(64) + "]";
    Path file =
        rows(
            "long.jsonl",
            "{\"input_ids\": [5], \"label\": 0}",
            "{\"input_ids\": " + ids + ", \"label\": 0}");
    fails(3, train("data.train=" + file), "long.jsonl, row 2", "has 65 tokens", "1 to 64");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"label\": 0}|has no text",
        "{\"input_ids\": [5]}|has no label",
        "{\"input_ids\": [5], \"label\": 3}|label '3' is no class; expected one of [A, B, C]",
        "{\"input_ids\": [5], \"label\": \"D\"}|label 'D' is no class",
        "{\"input_ids\": [5], \"label\": NaN}|is not a valid row",
        "{\"input_ids\": [61], \"label\": 0}|has token id 61; the vocabulary holds 0 to 60",
        "{\"input_ids\": [], \"label\": 0}|has 0 tokens",
        "{\"input_ids\": [5.5], \"label\": 0}|is not a valid row",
        "{\"input_ids\": [5|is not a valid row",
        "{\"text\": \"a\", \"label\": 0}|the base has no tokenizer.json"
      })
  void data_badRow_isInputErrorNamingIt(String row, String said) throws IOException {
    Path file = rows("bad.jsonl", "{\"input_ids\": [5], \"label\": 0}", row);
    fails(3, train("data.train=" + file), "bad.jsonl, row 2", said);
  }

  @Test
  void data_truncatedParquet_isInputError() throws IOException {
    Path file = temp.resolve("cut.parquet");
    Files.write(file, new byte[] {'P', 'A', 'R', '1', 0, 0, 0});
    fails(3, train("data.train=" + file), "data.train", "cannot be read");
  }

  @Test
  void data_noTargetInTheBatch_isInputError() throws IOException {
    Path file = rows("none.jsonl", "{\"input_ids\": [5], \"label\": -100}");
    fails(3, train("data.train=" + file), "the batch of step 1 has no target");
  }

  @Test
  void evaluate_baseWithoutHead_isConfigError() {
    fails(
        2,
        List.of(
            "evaluate", "base.path=" + bert.folder(), "data.validation=" + bert.path("data.jsonl")),
        "no classification head",
        "adapter.init-from");
  }

  @Test
  void output_foreignFolderOrFile_isNeverReplaced() throws IOException {
    Path foreign = Files.createDirectory(temp.resolve("foreign"));
    Files.writeString(foreign.resolve("thesis.txt"), "years of work");
    List<String> into = new ArrayList<>(train("output-mode=overwrite", "output=" + foreign));
    fails(2, into, "exists and is no result folder");
    into.add("output=" + bert.folder());
    fails(2, into, "exists and is no result folder");
    into.add("output=" + foreign.resolve("thesis.txt/below"));
    fails(2, into, "is a file");
    into.add("output=s4://bucket/out");
    fails(2, into, "cannot be used");
    into.add("output=");
    fails(2, into, "output is blank");
    into.add("output=" + bert.folder().getParent());
    into.add("adapter.init-from=" + bert.path("adapter"));
    fails(2, into, "output");
    assertThat(foreign.resolve("thesis.txt")).hasContent("years of work");
  }

  @Test
  void data_filesOfTwoKinds_isInputError() throws IOException {
    Path folder = Files.createDirectory(temp.resolve("mixed"));
    Files.writeString(folder.resolve("a.csv"), "text,label\n");
    Files.writeString(folder.resolve("b.jsonl"), "\n");
    fails(3, train("data.train=" + folder), "holds files of kinds [csv, json]");
  }

  @Test
  void addresses_thatLeadNowhere_areInputErrors() {
    fails(3, train("base.path=hdfs://no-such-host.invalid/x"), "base.path hdfs://no-such-host");
    fails(3, train("data.train=hdfs:x"), "data.train hdfs:x", "cannot be read");
    fails(3, train("data.train=s9://bucket/x"), "data.train s9://bucket/x", "cannot be read");
    fails(3, train("base.path=file:" + temp.resolve("no such")), "is not a folder");
  }

  @Test
  void base_tokenizerBroken_isInputErrorNamingIt() throws IOException {
    Files.writeString(bert.folder().resolve("tokenizer.json"), "{");
    fails(3, train(), "tokenizer.json", "cannot be read");
  }

  @Test
  void base_padTokenOutsideTheVocabulary_isInputError() throws IOException {
    edit("config.json", "\"pad_token_id\": 0", "\"pad_token_id\": 61");
    fails(3, train(), "pad_token_id is 61");
  }

  @Test
  void head_nowhere_isConfigError() throws IOException {
    List<String> fresh = new ArrayList<>(train("adapter.modules-to-save=[pooler]"));
    fresh.removeIf(a -> a.startsWith("adapter.init-from"));
    fails(2, fresh, "adapter.modules-to-save lacks [classifier]");
  }

  @Test
  void task_dataForAnother_isSaidByKey() throws IOException {
    GoldenFolder gpt2 = GoldenFolder.copy("gpt2", temp);
    fails(2, gpt2.train(output, "task=sequence-classification"), "the base is for causal-lm");
    Path text = rows("text.jsonl", "{\"text\": \"once\"}");
    fails(3, gpt2.train(output, "data.train=" + text), "text.jsonl, row 1", "no tokenizer.json");
    fails(2, gpt2.train(output, "data.format=classification"), "is for classifiers");
    fails(2, gpt2.train(output, "data.max-length=1"), "set at least 2");
    GoldenFolder headless = GoldenFolder.copy("llama3-rope-tied", temp);
    Path tied = headless.folder().resolve("config.json");
    Files.writeString(
        tied,
        Files.readString(tied)
            .replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"));
    fails(3, headless.train(output), "lacks 1 of", "lm_head.weight");
    fails(
        2,
        train("data.format=text", "data.packing=true", "data.split=window"),
        "data.format is for language models",
        "data.packing is for language models",
        "data.split is for language models");
    Path short1 = rows("short.jsonl", "{\"input_ids\": [5, 6], \"labels\": [5]}");
    fails(3, gpt2.train(output, "data.train=" + short1), "has 1 labels for 2 input_ids");
    Path half = rows("half.jsonl", "{\"prompt\": \"a\"}");
    fails(3, gpt2.train(output, "data.train=" + half), "half.jsonl, row 1", "no completion");
    Path whole = rows("whole.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}");
    GoldenFolder endless = GoldenFolder.copy("llama-gqa", temp);
    Path config = endless.folder().resolve("config.json");
    Files.writeString(config, Files.readString(config).replace("eos_token_id", "end"));
    fails(3, endless.train(output, "data.train=" + whole), "has no eos_token_id");
    fails(2, train("task=causal-lm"), "task is causal-lm, but the base is for sequence-class");
  }

  @Test
  void artifact_unknown_isInputErrorListingTheKnown() {
    fails(3, train("base.path=maven:a:b:1"), "a:b:1", "all-minilm");
  }

  /** In cluster mode the driver could not leave word of it in a folder that is not its own. */
  @Test
  void submission_intoAnotherRunsResult_isRefusedBeforeItIsSubmitted() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path output = temp.resolve("taken");
    assertThat(kindling(1, golden.train(output)).code()).isZero();
    List<String> other = new ArrayList<>(List.of("--resolve-only", "--submission", "1", "train"));
    for (String argument : golden.train(output, "train.seed=5")) {
      if (!argument.equals("train")) {
        other.add(argument.replaceFirst("=/", "=file:/"));
      }
    }
    InProcess refused = kindling(1, other);
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains("taken", "train.seed");
  }
}
