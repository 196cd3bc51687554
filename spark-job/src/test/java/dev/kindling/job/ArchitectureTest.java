package dev.kindling.job;

import static com.tngtech.archunit.core.domain.JavaCall.Predicates.target;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.assignableTo;
import static com.tngtech.archunit.core.domain.properties.HasName.Predicates.nameMatching;
import static com.tngtech.archunit.core.domain.properties.HasOwner.Predicates.With.owner;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Named.named;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaRDDLike;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Dataset;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The layers of the house. */
class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .withImportOption(location -> !location.contains("-tests.jar"))
          .importPackages("dev.kindling");

  private static final ArchRule LAYERS =
      layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .layer("tensor")
          .definedBy("dev.kindling.tensor..")
          .layer("checkpoint")
          .definedBy("dev.kindling.checkpoint..")
          .layer("data")
          .definedBy("dev.kindling.data..")
          .layer("lora")
          .definedBy("dev.kindling.lora..")
          .layer("nn")
          .definedBy("dev.kindling.nn..")
          .layer("model")
          .definedBy("dev.kindling.model..")
          .layer("cost")
          .definedBy("dev.kindling.cost..")
          .layer("optim")
          .definedBy("dev.kindling.optim..")
          .layer("train")
          .definedBy("dev.kindling.train..")
          .layer("dl4j")
          .definedBy("dev.kindling.dl4j..")
          .layer("generate")
          .definedBy("dev.kindling.generate..")
          .layer("export")
          .definedBy("dev.kindling.export..")
          .layer("published")
          .definedBy("dev.kindling.published..")
          .layer("job")
          .definedBy("dev.kindling.job..")
          .whereLayer("tensor")
          .mayNotAccessAnyLayer()
          .whereLayer("checkpoint")
          .mayOnlyAccessLayers("tensor")
          .whereLayer("data")
          .mayOnlyAccessLayers("tensor")
          .whereLayer("lora")
          .mayOnlyAccessLayers("tensor", "checkpoint", "data")
          .whereLayer("nn")
          .mayOnlyAccessLayers("tensor", "lora")
          .whereLayer("model")
          .mayOnlyAccessLayers("tensor", "checkpoint", "data", "lora", "nn")
          .whereLayer("cost")
          .mayOnlyAccessLayers("tensor", "checkpoint", "data", "lora", "nn", "model")
          .whereLayer("optim")
          .mayNotAccessAnyLayer()
          .whereLayer("train")
          .mayOnlyAccessLayers("tensor", "data", "lora", "model", "optim")
          .whereLayer("dl4j")
          .mayNotAccessAnyLayer()
          .whereLayer("generate")
          .mayOnlyAccessLayers("tensor", "model")
          .whereLayer("export")
          .mayOnlyAccessLayers("tensor", "checkpoint", "lora")
          .whereLayer("published")
          .mayOnlyAccessLayers("checkpoint", "lora", "model");

  private static final ArchRule JOB_LAYERS =
      layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .layer("config")
          .definedBy("dev.kindling.job.config")
          .layer("storage")
          .definedBy("dev.kindling.job.storage")
          .layer("gpu")
          .definedBy("dev.kindling.job.gpu")
          .layer("ingest")
          .definedBy("dev.kindling.job.ingest")
          .layer("broadcast")
          .definedBy("dev.kindling.job.broadcast")
          .layer("sync")
          .definedBy("dev.kindling.job.sync")
          .layer("averaging")
          .definedBy("dev.kindling.job.averaging")
          .layer("evaluate")
          .definedBy("dev.kindling.job.evaluate")
          .layer("explain")
          .definedBy("dev.kindling.job.explain")
          .layer("resume")
          .definedBy("dev.kindling.job.resume")
          .layer("report")
          .definedBy("dev.kindling.job.report")
          .layer("job")
          .definedBy("dev.kindling.job")
          .layer("cli")
          .definedBy("dev.kindling.job.cli")
          .whereLayer("config")
          .mayNotAccessAnyLayer()
          .whereLayer("storage")
          .mayOnlyAccessLayers("config")
          .whereLayer("gpu")
          .mayOnlyAccessLayers("config")
          .whereLayer("ingest")
          .mayOnlyAccessLayers("config", "storage")
          .whereLayer("broadcast")
          .mayOnlyAccessLayers("storage", "gpu")
          .whereLayer("sync")
          .mayOnlyAccessLayers("gpu", "ingest", "broadcast")
          .whereLayer("averaging")
          .mayOnlyAccessLayers("gpu", "ingest", "broadcast", "sync")
          .whereLayer("evaluate")
          .mayOnlyAccessLayers("ingest", "broadcast", "sync")
          .whereLayer("explain")
          .mayOnlyAccessLayers("gpu", "ingest", "broadcast", "sync")
          .whereLayer("resume")
          .mayOnlyAccessLayers("config", "storage")
          .whereLayer("report")
          .mayOnlyAccessLayers(
              "config", "storage", "ingest", "broadcast", "sync", "evaluate", "explain", "resume")
          .whereLayer("cli")
          .mayNotBeAccessedByAnyLayer();

  private static final ArchRule NO_CYCLES =
      slices().matching("dev.kindling.(**)").should().beFreeOfCycles();

  private static final ArchRule ND4J_STAYS_BEHIND_ITS_DOOR =
      noClasses()
          .that()
          .resideOutsideOfPackages(
              "dev.kindling.tensor.nd4j", "dev.kindling.dl4j", "dev.kindling.job.averaging")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "org.nd4j.linalg..",
              "org.nd4j.nativeblas..",
              "org.nd4j.kryo..",
              "org.deeplearning4j..",
              "org.bytedeco.openblas..");

  private static final ArchRule ONEDNN_STAYS_BEHIND_ITS_DOOR =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.kindling.tensor.onednn")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.bytedeco.dnnl..");

  private static final ArchRule CUDA_STAYS_BEHIND_ITS_DOOR =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.kindling.tensor.cuda")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.bytedeco.cuda..");

  /** To know what a machine can do must not load what it cannot. */
  private static final ArchRule THE_GUARD_LOADS_NOTHING =
      noClasses()
          .that()
          .resideInAPackage("dev.kindling.tensor.gpu")
          .should()
          .dependOnClassesThat()
          .resideOutsideOfPackages("dev.kindling.tensor.gpu", "java..", "org.jspecify..");

  private static final ArchRule ONLY_BACKENDS_SEE_NATIVE_MEMORY =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.kindling.tensor..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.bytedeco.javacpp..");

  private static final ArchRule ONLY_THE_JOB_KNOWS_SPARK =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.kindling.job..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.apache.spark..", "org.apache.hadoop..", "scala..");

  /** Rows must never come to the driver: 100 million of them would not fit. */
  private static final ArchRule NO_ROWS_ON_THE_DRIVER =
      noClasses()
          .should()
          .callMethodWhere(
              target(
                      nameMatching(
                          "collect.*|toLocalIterator|take.*|top|head.*|tail|first|reduce|fold"))
                  .and(
                      target(
                          owner(
                              assignableTo(JavaRDDLike.class)
                                  .or(assignableTo(RDD.class))
                                  .or(assignableTo(Dataset.class))))));

  /** What only stdout's one object may use. */
  private static final ArchRule NOBODY_PRINTS_TO_STDOUT =
      noClasses()
          .that()
          .doNotHaveFullyQualifiedName("dev.kindling.job.cli.Kindling")
          .should()
          .accessField(System.class, "out");

  static Stream<Arguments> rules() {
    return Stream.of(
        arguments(named("layers of core", LAYERS)),
        arguments(named("layers of the job", JOB_LAYERS)),
        arguments(named("no cycles", NO_CYCLES)),
        arguments(named("ND4J stays behind its door", ND4J_STAYS_BEHIND_ITS_DOOR)),
        arguments(named("oneDNN stays behind its door", ONEDNN_STAYS_BEHIND_ITS_DOOR)),
        arguments(named("CUDA stays behind its door", CUDA_STAYS_BEHIND_ITS_DOOR)),
        arguments(named("the guard loads nothing", THE_GUARD_LOADS_NOTHING)),
        arguments(named("only backends see native memory", ONLY_BACKENDS_SEE_NATIVE_MEMORY)),
        arguments(named("only the job knows Spark", ONLY_THE_JOB_KNOWS_SPARK)),
        arguments(named("no rows on the driver", NO_ROWS_ON_THE_DRIVER)),
        arguments(named("nobody prints to stdout", NOBODY_PRINTS_TO_STDOUT)));
  }

  @ParameterizedTest
  @MethodSource("rules")
  void house_everyRule_holds(ArchRule rule) {
    rule.check(CLASSES);
  }
}
