import io.confluent.avro.random.generator.Generator;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;

/**
 * Writes what avro-random-generator generates: for each line of the cases (name, seed, iteration, schema, separated by tabs) the first
 * records in Avro's binary encoding, drawn as DatagenTask draws them, and the random state after them.
 *
 * <p>Made again with avro-random-generator's Generator.java (github.com/confluentinc/avro-random-generator, commit f83f891), avro 1.11.3,
 * generex 1.0.2 and their dependencies on the class path CP:
 *
 * <pre>javac -cp CP -d out Generator.java GeneratorOracle.java
 * java -cp CP:out GeneratorOracle generator_cases.tsv > generator_golden.tsv</pre>
 *
 * <p>quickstart_golden.tsv comes from cases of the same kind: each schema of ../quickstarts on one line, seed 42, iteration 0.
 */
public class GeneratorOracle {
  public static void main(String[] args) throws Exception {
    StringBuilder out = new StringBuilder();
    for (String line : Files.readAllLines(Path.of(args[0]), StandardCharsets.UTF_8)) {
      String[] f = line.split("\t");
      Schema schema = new Schema.Parser().parse(f[3]);
      Random random = new Random(Long.parseLong(f[1]));
      Generator generator =
          new Generator.Builder().random(random).generation(Long.parseLong(f[2])).schema(schema).build();
      out.append(f[0]);
      long seed = 0;
      for (int i = 0; i < 8; i++) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<Object>(schema).write(generator.generate(), encoder);
        encoder.flush();
        out.append('\t');
        for (byte b : bytes.toByteArray()) {
          out.append(String.format("%02x", b));
        }
        seed = random.nextLong();
        random.setSeed(seed);
      }
      out.append('\t').append(seed).append('\n');
    }
    System.out.print(out);
  }
}
