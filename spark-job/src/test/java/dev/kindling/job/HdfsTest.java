package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Base, adapter, data and result on a real HDFS, name node and data node of its own. */
class HdfsTest {
  @TempDir Path temp;

  @Test
  void train_everythingOnHdfs_followsPyTorchAndLeavesAResultThere() throws IOException {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Configuration conf = new Configuration();
    conf.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, temp.resolve("dfs").toString());
    try (MiniDFSCluster cluster = new MiniDFSCluster.Builder(conf).numDataNodes(1).build()) {
      FileSystem hdfs = cluster.getFileSystem();
      hdfs.copyFromLocalFile(
          new org.apache.hadoop.fs.Path(bert.folder().toString()),
          new org.apache.hadoop.fs.Path("/bert"));
      String root = hdfs.getUri().toString();
      List<String> train =
          bert.train(
              Path.of("replaced below"),
              "base.path=" + root + "/bert",
              "base.delivery=storage",
              "adapter.init-from=" + root + "/bert/adapter",
              "data.train=" + root + "/bert/data.jsonl",
              "data.validation=" + root + "/bert/*.jsonl",
              "output=" + root + "/out");
      InProcess run = kindling(2, train);
      assertThat(run.code()).as(run.stdout()).isZero();

      Path out = temp.resolve("out");
      hdfs.copyToLocalFile(
          new org.apache.hadoop.fs.Path("/out"), new org.apache.hadoop.fs.Path(out.toString()));
      List<Double> losses = GoldenFolder.losses(out);
      for (int i = 0; i < losses.size(); i++) {
        assertThat(losses.get(i)).isCloseTo(bert.expectedLosses().get(i), offset(1e-4));
      }
      assertThat(bert.shareOff(out)).isBetween(0.0, 0.001);
      assertThat(new ObjectMapper().readTree(out.resolve("_SUCCESS").toFile()).get("files"))
          .hasSize(5);
      assertThat(kindling(2, train).json()).isEqualTo(run.json());

      InProcess missing = kindling(2, bert.train(temp.resolve("no"), "base.path=" + root + "/no"));
      assertThat(missing.code()).isEqualTo(3);
      assertThat(missing.messages()).contains("base.path", "/no", "is not a folder");
    }
  }
}
